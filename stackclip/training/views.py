"""What of the towers a method may reach: phrases as features, the live text tower, nothing else of either."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stackclip.clip import TextEncoder, Tower
from stackclip.errors import NotApplicable
from stackclip.learners.learner import Placing

__all__ = ["TaskEncode", "TextView"]


@dataclass(frozen=True, slots=True)
class TaskEncode:
    """The tower's text side, as strategies ask for it; `mean_of` gives a training category's mean unit class token."""

    encoder: TextEncoder
    mean_of: Callable[[str], Tensor] | None = None

    @property
    def context_length(self) -> int:
        """The tokens that the text tower takes."""
        return self.encoder.context_length

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Raw text features (N, D)."""
        return self.encoder(phrases)

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase."""
        return self.encoder.count_tokens(phrase)

    def class_means(self, categories: Sequence[str]) -> Tensor:
        """The mean unit class token of each training category: (n, D). Raises NotApplicable if none are known."""
        if self.mean_of is None:
            raise NotApplicable("there are no class means of training pictures here: use source=text")
        return torch.stack([self.mean_of(category) for category in categories])


class TextView:
    """The live text tower as learners see it (`stackclip.learners.TextTower`), frozen; gradients pass through."""

    __slots__ = ("_tower", "context_length", "text_depth")

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self.context_length, self.text_depth = tower.context_length, tower.text_depth

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase, start and end of text included."""
        return self._tower.count_tokens(phrase)

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        """Token ids (N, L) of phrases, padded with zeros."""
        return self._tower.tokenize(phrases)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings (N, L, W) of token ids (N, L), without positions."""
        return self._tower.embed_tokens(tokens)

    def encode_embedded(
        self,
        embedded: Tensor,
        ends: Tensor,
        *,
        deep: Mapping[int, Tensor] | None = None,
        placing: Placing = "insert",
        after: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
        project: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Raw text features (N, D) of token embeddings (N, L, W), read at `ends` (N,): see `Tower.encode_embedded`."""
        return self._tower.encode_embedded(embedded, ends, deep=deep, placing=placing, after=after, project=project)
