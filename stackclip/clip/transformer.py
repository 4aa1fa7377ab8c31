"""A frozen text transformer: phrases become tokens, and tokens raw text features."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stackclip.clip.device import plain_attention
from stackclip.clip.walk import Prompts, last_of, walk
from stackclip.errors import UsageError

__all__ = ["TextTransformer"]

_PHRASES_AT_ONCE = 16


class TextTransformer:
    """The text tower of a model of open_clip, with its tokenizer; `name` is that of the tower, for messages.

    Features are (N, `joint`). It is what learners may ask of the tower (`stackclip.learners.TextTower`).
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, name: str, joint: int, device: torch.device) -> None:
        self._module: Any = getattr(model, "text", model)  # open_clip keeps the text tower in either place
        self.name = name
        self.joint = joint
        self.device = device
        self.context_length = int(self._module.positional_embedding.shape[0])
        self._tokenizer = tokenizer
        self._ids: dict[str, tuple[int, ...]] = {}  # of phrases that were counted or encoded before

    def encode(self, phrases: Sequence[str]) -> Tensor:
        """Raw text features (N, D) of phrases, float32 on the device, whatever the precision for pictures.

        Raises UsageError for a phrase that is longer than the text tower's context: its end is never cut.
        """
        tokens = [self._tokens(phrase) for phrase in _listed(phrases)]
        features = torch.empty(len(tokens), self.joint, device=self.device)
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
        embedded: Tensor = self._module.token_embedding(tokens.to(self.device))
        return embedded

    @property
    def text_depth(self) -> int:
        """How many layers it has."""
        return len(self._module.transformer.resblocks)

    def encode_embedded(
        self,
        embedded: Tensor,
        ends: Tensor,
        *,
        deep: Mapping[int, Tensor] | None = None,
        placing: Literal["insert", "replace"] = "insert",
        after: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
        project: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Raw text features (N, D) of token embeddings (N, L, W), read at the positions `ends` (N,).

        `deep[n]` are tokens (T, W) that stand behind the start of text while text layer n (1-based) reads; what it
        makes of them goes on to the next layer, unless that has tokens of its own. `insert` puts them in between, so
        that every other token keeps its position; `replace` lets them take the place of the first T tokens behind the
        start, which must not reach `ends`. `after[n]` is called on the tokens (N, L, W) behind layer n, as an adapter.
        `project` takes the place of the tower's own projection (N, W) -> (N, D). Gradients pass, for what is learned.
        """
        text = self._module
        hidden = embedded + text.positional_embedding[: embedded.shape[1]]
        prompts = Prompts(deep or {}, behind=1, over=placing == "replace")
        with plain_attention():
            steps = walk(text.transformer, hidden, mask=self._causal_mask, after=after, append=prompts)
            hidden = text.ln_final(last_of(steps, hidden))  # (N, L, W)
        ends = ends + hidden.shape[1] - embedded.shape[1]
        pooled: Tensor = hidden[torch.arange(len(hidden), device=hidden.device), ends]  # (N, W)
        own = text.text_projection if project is None else project
        joint: Tensor = own(pooled) if callable(own) else pooled @ own  # (N, D)
        return joint

    def _causal_mask(self, length: int) -> Tensor:
        """A token sees itself and those before it; inserted tokens can make more than the text tower's context."""
        mask: Tensor = self._module.attn_mask
        if length <= len(mask):
            return mask[:length, :length]
        return torch.full((length, length), float("-inf"), device=self.device).triu(1)

    @cached_property
    def _word_ids(self) -> Callable[[str], Sequence[int]]:
        """The tokens of a word; each is turned into them once."""
        return cache(self._tokenizer.encode)

    def _token_ids(self, phrase: str) -> tuple[int, ...]:
        if phrase not in self._ids:
            tokenizer = self._tokenizer
            ids = [each for word in _words(phrase) for each in self._word_ids(word)]
            self._ids[phrase] = (tokenizer.sot_token_id, *ids, tokenizer.eot_token_id)
        return self._ids[phrase]

    def _tokens(self, phrase: str) -> tuple[int, ...]:
        ids = self._token_ids(phrase)
        if len(ids) > self.context_length:
            beginning = textwrap.shorten(phrase, 100, placeholder=" ...")
            raise UsageError(
                f"{beginning!r} has {len(ids)} tokens, the text tower of {self.name} reads {self.context_length}: "
                f"shorten it"
            )
        return ids


def _words(phrase: str) -> Sequence[str]:
    """Pieces of a phrase whose tokens are those of the whole: words, where cleaning looks at nothing else.

    Repairs of encodings and HTML's entities, which may go over spaces, are of other letters and of `&` alone.
    """
    plain = phrase.isascii() and phrase.isprintable() and "&" not in phrase
    return phrase.split(" ") if plain else (phrase,)


def _listed(phrases: Sequence[str]) -> Sequence[str]:
    if isinstance(phrases, str):
        raise UsageError(f"one phrase came, {phrases!r}, wanted a list of phrases: [{phrases!r}]")
    return phrases


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    length = max(map(len, rows), default=1)
    filled = [[*row, *[0] * (length - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.long).reshape(len(rows), length)
