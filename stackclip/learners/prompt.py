"""A pair of learned prompts, normal and anomalous: words and deep tokens that are vectors with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from stackclip.errors import UsageError
from stackclip.learners.learner import Placing, TextTower
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["SPREAD", "PromptPair", "prompt_length"]

SPREAD = 0.02  # standard deviation of the vectors that no word begins; as in CoOp and AnomalyCLIP


class DeepTokens(TypedDict):
    """The learned tokens that two prompts share: how many, in which layers (1-based), and where in these."""

    deep: int
    layers: Sequence[int]
    placing: Placing


class PromptPair(nn.Module):
    """Two prompts whose template's words are learned, and tokens that both share in deeper layers of the text tower.

    A prompt is: start of text, words before the subject, the subject, words behind it, end of text. `context` vectors
    of each prompt are learned. They begin as its words, in order; if there are more vectors than words, the others
    stand in front of the words and begin as noise; if fewer, the last words stay as they are. None learns the words
    alone. In each of `layers` of the text tower (1-based) `deep` learned tokens stand behind the start of text.

    The parameters are `context.0` (normal) and `context.1` (anomalous), (E, W), and `deep.0`, `deep.1` ..., (L, W).
    Raises UsageError if replacing tokens would overwrite the end of a prompt.
    """

    base: Tensor
    ends: Tensor
    places: Tensor

    def __init__(
        self,
        text: TextTower,
        templates: tuple[str, str],
        *,
        subject: str,
        context: int | None,
        seed: int,
        **shared: Unpack[DeepTokens],
    ) -> None:
        super().__init__()
        deep, layers, placing = shared["deep"], shared["layers"], shared["placing"]
        self.text, self.layers, self.placing = text, tuple(layers) if deep else (), placing
        written = [_write(text, templates[side], subject, context) for side in (NORMAL, ANOMALOUS)]
        ends = torch.tensor([len(each.ids) - 1 for each in written])
        if placing == "replace" and self.layers and deep >= int(ends.min()):
            raise UsageError(
                f"{deep} deep tokens would overwrite a prompt that ends at place {int(ends.min())}; "
                "use fewer, or placing=insert"
            )
        length = int(ends.max()) + 1
        ids = torch.tensor([[*each.ids, *[0] * (length - len(each.ids))] for each in written])
        with torch.no_grad():
            base = text.embed_tokens(ids).clone()  # (2, length, W)
        draws = torch.Generator().manual_seed(seed)

        def noise(count: int) -> Tensor:
            return (SPREAD * torch.randn(count, base.shape[-1], generator=draws)).to(base)

        self.context = nn.ParameterList(
            nn.Parameter(torch.cat([noise(each.new), base[side, each.learned[each.new :]]]))
            for side, each in enumerate(written)
        )
        self.deep = nn.ParameterList(nn.Parameter(noise(deep)) for _ in self.layers)
        places = [(side, place) for side, each in enumerate(written) for place in each.learned]
        self.register_buffer("base", base, persistent=False)
        self.register_buffer("ends", ends.to(base.device), persistent=False)
        self.register_buffer("places", torch.tensor(places, device=base.device).reshape(-1, 2), persistent=False)

    def forward(self) -> Tensor:
        """Raw text features of the two prompts: (2, D), indices NORMAL and ANOMALOUS."""
        embedded = self.base.index_put(tuple(self.places.T.long()), torch.cat(tuple(self.context)))  # (2, length, W)
        deep = dict(zip(self.layers, self.deep, strict=True))
        return self.text.encode_embedded(embedded, self.ends, deep=deep, placing=self.placing)


def prompt_length(text: TextTower, template: str, *, subject: str, context: int | None) -> int:
    """How many tokens the prompt of a subject takes, start and end of text included."""
    words = sum(text.count_tokens(piece) - 2 for piece in template.split("{}"))
    return max(words, context or 0) + text.count_tokens(subject)


@dataclass(frozen=True, slots=True)
class _Written:
    """A prompt's token ids, and the places of its learned vectors: first `new` ones, then words."""

    ids: list[int]
    learned: list[int]
    new: int


def _write(text: TextTower, template: str, subject: str, context: int | None) -> _Written:
    """CLIP splits text at spaces before it makes tokens, so the tokens of a phrase are those of its pieces."""
    before, behind = template.split("{}")
    start, *first, end = _ids(text, before)
    named, last = _ids(text, subject)[1:-1], _ids(text, behind)[1:-1]
    words = len(first) + len(last)
    new = max(0, (context or 0) - words)
    ids = [start, *[0] * new, *first, *named, *last, end]
    behind_subject = 1 + new + len(first) + len(named)
    places = [*range(1, 1 + new + len(first)), *range(behind_subject, behind_subject + len(last))]
    return _Written(ids, places[:context], new)


def _ids(text: TextTower, words: str) -> list[int]:
    ids: list[int] = text.tokenize([words])[0].tolist()
    return ids
