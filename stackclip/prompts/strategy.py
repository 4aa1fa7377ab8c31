"""What a prompt strategy is: how training categories are grouped, and what a category is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Clustering", "Encode", "Strategy"]


class Encode(Protocol):
    """What a strategy may ask of the tower."""

    @property
    def context_length(self) -> int:
        """How many tokens the text tower takes, start and end of text included: 77 for CLIP."""

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Raw text features of phrases: (N, D)."""

    def class_means(self, categories: Sequence[str]) -> Tensor:
        """The mean over a training category's pictures of their unit class tokens: (n, D)."""

    def count_tokens(self, phrase: str) -> int:
        """How many of the context's places a phrase takes, start and end of text included."""


@runtime_checkable
class Strategy(Protocol):
    """One way to fill the class slot of the prompt ensemble. One file, one decorator, two methods.

    Two attributes are looked for and need not be there: `epochs`, for how many epochs the paper trains heads under this
    strategy, and `overflow`, what to do when a subject does not fit CLIP's context (`error`, `truncate-names`,
    `chunk-mean`). A method `explain(categories, encode)` may return facts that are kept with every row.
    """

    def stacks(self, categories: tuple[str, ...], encode: Encode) -> tuple[tuple[str, ...], ...]:
        """The K stacks of the training categories: every category in exactly one, none empty."""

    def subject(self, category: str, stack: tuple[str, ...], *, seen: bool) -> str:
        """What a category is called under a stack. `seen`: it is one of the training categories."""


@dataclass(frozen=True, slots=True)
class Clustering:
    """A choice of k with the whole curve it was chosen from: `scores[k]` is what the scorer gave to k stacks."""

    stacks: tuple[tuple[str, ...], ...]
    scores: Mapping[int, float]

    def facts(self) -> dict[str, Any]:
        """The clustering as JSON can hold it."""
        return {
            "stacks": [list(group) for group in self.stacks],
            "scores": {str(k): score for k, score in sorted(self.scores.items())},
        }
