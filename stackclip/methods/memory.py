"""A memory of normal patch tokens, and how far a picture's patches are from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from stackclip.ops.maps import pixels, unit
from stackclip.ops.neighbours import Bank
from stackclip.types import Features, Part, TowerSpec

__all__ = ["PatchMemory"]


class PatchMemory:
    """The unit patch tokens of one category's shots, layer by layer (APRIL-GAN, few-shot)."""

    def __init__(self, tower: TowerSpec, shots: Iterable[Features], parts: Sequence[Part] | None = None) -> None:
        """Keep all patches of the shots: (shots * P, C) of each of `parts`, which are the tower's taps unless given.

        Raises UsageError where there are none.
        """
        self.side, parts = tower.image_size, tower.taps if parts is None else parts
        tokens = [[unit(features[part]).flatten(0, 1) for part in parts] for features in shots]
        empty = torch.empty(0, tower.width)
        self._banks = {
            part: Bank(torch.cat([each[at] for each in tokens]) if tokens else empty) for at, part in enumerate(parts)
        }

    def maps(self, features: Features) -> Tensor:
        """Sum over parts of the upsampled 1 - cos to the nearest remembered patch: (B, side, side)."""
        return torch.stack([self._map(features, row) for row in range(len(features))])

    def distances(self, features: Features, row: int) -> Tensor:
        """1 - cos of each patch of a picture to the nearest remembered one, in each of K parts: (K, P)."""
        return torch.stack([bank.distances(features[part][row]) for part, bank in self._banks.items()])

    def _map(self, features: Features, row: int) -> Tensor:
        return torch.stack([pixels(each, self.side) for each in self.distances(features, row)]).sum(0)
