"""The text side of a tower as strategies ask for it: phrases as features, and the means of training categories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stackclip.clip import TextEncoder
from stackclip.errors import NotApplicable

__all__ = ["TaskEncode"]


@dataclass(frozen=True, slots=True)
class TaskEncode:
    """The tower's text side, as strategies ask for it; `mean_of` gives a training category's mean unit class token.

    `reword` gives the words in which a phrase is read; None: its own.
    """

    encoder: TextEncoder
    mean_of: Callable[[str], Tensor] | None = None
    reword: Callable[[str], str] | None = None

    @property
    def context_length(self) -> int:
        """The tokens that the text tower takes."""
        return self.encoder.context_length

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Raw text features (N, D)."""
        return self.encoder(phrases if self.reword is None else [self.reword(phrase) for phrase in phrases])

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase."""
        return self.encoder.count_tokens(phrase if self.reword is None else self.reword(phrase))

    def class_means(self, categories: Sequence[str]) -> Tensor:
        """The mean unit class token of each training category: (n, D). Raises NotApplicable if none are known."""
        if self.mean_of is None:
            raise NotApplicable("there are no class means of training pictures here: use source=text")
        return torch.stack([self.mean_of(category) for category in categories])
