"""A frozen CLIP: one forward gives every part of a picture that is asked for; phrases become raw text features."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from stackclip.clip.device import DTYPES, plain_attention
from stackclip.clip.image import ImageTower
from stackclip.clip.positions import DEFAULT_POSITIONS, Positions
from stackclip.clip.sight import Route
from stackclip.clip.transform import ImageTransform
from stackclip.clip.walk import Prompts, last_of, walk
from stackclip.errors import UsageError
from stackclip.types import Part, TowerSpec

__all__ = ["SEMANTICS", "Tower"]

SEMANTICS = 1  # of the features; raised when the same tower would give other numbers under the same names
_PHRASES_AT_ONCE = 16


class Tower:
    """A model of open_clip with its transform, its tokens and everything that its features depend on, in words.

    `model` is open_clip's own, frozen and in evaluation mode. Build one with `load_tower`, or with `assemble_tower`
    from a configuration and weights.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        spec: TowerSpec,
        transform: ImageTransform,
        tokenizer: Any,
        architecture: str,
        weights: str,
        activation: Literal["gelu", "quick-gelu"],
        device: torch.device,
        precision: Literal["fp32", "bf16", "fp16"],
        recorded: Mapping[str, Any],
        position_embedding: Positions = DEFAULT_POSITIONS,
    ) -> None:
        self.model = model
        self.spec = spec
        self.transform = transform
        self.device = device
        self.precision = precision
        self.recorded = dict(recorded)
        self._tokenizer = tokenizer
        self._text: Any = getattr(model, "text", model)  # open_clip keeps the text tower in either place
        self.context_length = int(self._text.positional_embedding.shape[0])
        named = {"architecture": architecture, "weights": weights, "activation": activation, "semantics": SEMANTICS}
        self.fingerprint: dict[str, Any] = {
            "model": spec.name,
            **named,
            **transform.facts,
            "position_embedding": position_embedding,
            "attention": "plain",
            "dtype": precision,
        }
        self.text_fingerprint: dict[str, Any] = {**named, "context_length": self.context_length}

    @property
    def picture_range(self) -> str:
        """What is black and what is white in pictures of more than 8 bits: `auto`, `file` or `MIN:MAX`."""
        return self.transform.picture_range

    def with_range(self, picture_range: str) -> Tower:
        """The same tower for pictures read by another range, which is in its fingerprint where it is MIN:MAX.

        Raises UsageError for what is no range.
        """
        other = copy(self)
        other.transform = replace(self.transform, picture_range=picture_range)
        other.fingerprint = {name: fact for name, fact in self.fingerprint.items() if name != "picture_range"}
        other.fingerprint |= other.transform.facts
        return other

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """An RGB picture as the tower reads it, (3, S, S); any number of threads may call it at once."""
        return self.transform(image)

    def encode(self, pictures: Tensor, parts: Iterable[Part]) -> dict[Part, Tensor]:
        """Give the parts of prepared pictures (B, 3, S, S), float32 on the tower's device, in one forward.

        What each part is, the shelf `taps` says. Blocks behind the last one needed are not run.

        Raises NotApplicable for a part that this tower does not have, UsageError for pictures of another size and for a
        part of a view: pictures are seen otherwise before they are prepared.
        """
        side = self.spec.image_size
        if pictures.ndim != 4 or pictures.shape[1:] != (3, side, side) or not len(pictures):
            raise UsageError(
                f"pictures of shape {tuple(pictures.shape)} came, {self.spec.name} takes (B, 3, {side}, {side})"
            )
        route = Route(self.spec, parts)
        # Picture by picture on a CPU: attention would multiply a batch token by token, which is slower, and so no
        # picture's features depend on the others, not even in the last bit.
        several = pictures.chunk(len(pictures)) if self.device.type == "cpu" else (pictures,)
        dtype = DTYPES[self.precision]
        with (
            torch.no_grad(),
            plain_attention(),
            torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32),
        ):
            seen = (some.to(self.device, torch.float32, non_blocking=True) for some in several)
            found = [route.run(self.model.visual, some) for some in seen]
        return {part: torch.cat([each[part] for each in found]).to(torch.float32) for part in route.shapes}

    @property
    def image(self) -> ImageTower:
        """The live image tower, for what is trained inside it: its blocks from a cached point on."""
        return ImageTower(self.model.visual)

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """Raw text features (N, D) of phrases, float32 on the tower's device, whatever the precision for pictures.

        Raises UsageError for a phrase that is longer than the text tower's context: its end is never cut.
        """
        tokens = [self._tokens(phrase) for phrase in _listed(phrases)]
        features = torch.empty(len(tokens), self.spec.joint, device=self.device)
        by_length: dict[int, list[int]] = {}
        for index, ids in enumerate(tokens):
            by_length.setdefault(len(ids), []).append(index)
        for same in by_length.values():
            for start in range(0, len(same), _PHRASES_AT_ONCE):
                chosen = same[start : start + _PHRASES_AT_ONCE]
                rows = [tokens[index] for index in chosen]
                # Always as many rows of one length, so that a phrase's features do not depend on the phrases it came
                # with, not even in the last bit.
                rows += rows[:1] * (_PHRASES_AT_ONCE - len(rows))
                features[chosen] = self.encode_tokens(_padded(rows))[: len(chosen)]
        return features

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase, start and end of text among them."""
        return len(self._token_ids(phrase))

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        """Token ids (N, L) of phrases, padded with zeros to the longest of them.

        Raises UsageError for a phrase that is longer than the text tower's context.
        """
        return _padded([self._tokens(phrase) for phrase in _listed(phrases)])

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Raw text features (N, D) of token ids (N, L); the end of text is the largest id of each row.

        Padding behind the last end of text in the batch is left out: the text tower is causal, so nothing before it
        can see it.
        """
        tokens = tokens.to(self.device, torch.long)
        ends = tokens.argmax(dim=-1)  # (N,)
        length = int(ends.max()) + 1 if len(ends) else 1
        with torch.no_grad(), plain_attention(), torch.autocast(self.device.type, enabled=False):
            return self.encode_embedded(self.embed_tokens(tokens[:, :length]), ends)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings (N, L, W) of token ids (N, L), without positions: where learned prompts are put in."""
        embedded: Tensor = self._text.token_embedding(tokens.to(self.device))
        return embedded

    @property
    def text_depth(self) -> int:
        """How many layers the text tower has."""
        return len(self._text.transformer.resblocks)

    def encode_embedded(
        self,
        embedded: Tensor,
        ends: Tensor,
        *,
        deep: Mapping[int, Tensor] | None = None,
        placing: Literal["insert", "replace"] = "insert",
        after: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
    ) -> Tensor:
        """Raw text features (N, D) of token embeddings (N, L, W), read at the positions `ends` (N,).

        `deep[n]` are tokens (T, W) that stand behind the start of text while text layer n (1-based) reads; what it
        makes of them goes on to the next layer, unless that has tokens of its own. `insert` puts them in between, so
        that every other token keeps its position; `replace` lets them take the place of the first T tokens behind the
        start, which must not reach `ends`. `after[n]` is called on the tokens (N, L, W) behind layer n, as an adapter.
        Gradients pass, for what is learned.
        """
        text = self._text
        hidden = embedded + text.positional_embedding[: embedded.shape[1]]
        prompts = Prompts(deep or {}, behind=1, over=placing == "replace")
        with plain_attention():
            steps = walk(text.transformer, hidden, mask=self._causal_mask, after=after, append=prompts)
            hidden = text.ln_final(last_of(steps, hidden))  # (N, L, W)
        ends = ends + hidden.shape[1] - embedded.shape[1]
        pooled: Tensor = hidden[torch.arange(len(hidden), device=hidden.device), ends]  # (N, W)
        project = text.text_projection
        joint: Tensor = project(pooled) if isinstance(project, nn.Linear) else pooled @ project  # (N, D)
        return joint

    def _causal_mask(self, length: int) -> Tensor:
        """A token sees itself and those before it; inserted tokens can make more than the text tower's context."""
        mask: Tensor = self._text.attn_mask
        if length <= len(mask):
            return mask[:length, :length]
        return torch.full((length, length), float("-inf"), device=self.device).triu(1)

    def _token_ids(self, phrase: str) -> list[int]:
        tokenizer = self._tokenizer
        return [tokenizer.sot_token_id, *tokenizer.encode(phrase), tokenizer.eot_token_id]

    def _tokens(self, phrase: str) -> list[int]:
        ids = self._token_ids(phrase)
        if len(ids) > self.context_length:
            shown = textwrap.shorten(phrase, 100, placeholder=" ...")
            raise UsageError(
                f"{shown!r} has {len(ids)} tokens, the text tower of {self.spec.name} reads {self.context_length}: "
                f"shorten it"
            )
        return ids


def _listed(phrases: Sequence[str]) -> Sequence[str]:
    if isinstance(phrases, str):
        raise UsageError(f"one phrase came, {phrases!r}, wanted a list of phrases: [{phrases!r}]")
    return phrases


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    tokens = torch.zeros(len(rows), max(map(len, rows), default=1), dtype=torch.long)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row)
    return tokens
