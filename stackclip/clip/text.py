"""Phrases to features, each distinct phrase encoded once: in this process, and with a memory, ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stackclip.clip.tower import Tower

__all__ = ["TextEncoder", "TextMemory"]


class TextMemory(Protocol):
    """Where raw text features of one text fingerprint are kept between processes."""

    def lookup(self, phrases: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """The features (D,) of those phrases that are known."""
        ...

    def remember(self, phrases: Sequence[str], features: NDArray[np.float32]) -> None:
        """Keep the features (N, D) of new phrases."""
        ...


class TextEncoder:
    """`encoder(phrases)` gives raw text features (N, D) of a tower, in the order of the phrases.

    Of the phrases that were `asked` for, each as often as it was, so many were `encoded`.
    """

    def __init__(self, tower: Tower, memory: TextMemory | None = None) -> None:
        self.tower = tower
        self._memory = memory
        self._known: dict[str, Tensor] = {}  # phrase to (D,)
        self.asked = self.encoded = 0

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Raw float32 features (N, D) on the tower's device; a phrase that came before is not encoded again.

        Raises UsageError for a phrase that is longer than the text tower's context.
        """
        self.asked += len(phrases)
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]
        if new and self._memory is not None:
            for phrase, features in self._memory.lookup(new).items():
                self._known[phrase] = torch.from_numpy(np.array(features, np.float32)).to(self.tower.device)
            new = [phrase for phrase in new if phrase not in self._known]
        if new:
            encoded = self.tower.encode_text(new)
            self.encoded += len(new)
            self._known.update(zip(new, encoded, strict=True))
            if self._memory is not None:
                self._memory.remember(new, encoded.cpu().numpy())
        if not phrases:
            return self.tower.encode_text(())
        return torch.stack([self._known[phrase] for phrase in phrases])

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase, start and end of text among them."""
        return self.tower.count_tokens(phrase)

    @property
    def context_length(self) -> int:
        """The most tokens that a phrase may have."""
        return self.tower.context_length
