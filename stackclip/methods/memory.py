"""A memory of normal patch tokens, and how far a picture's patches are from it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from stackclip.ops.maps import pixels, unit
from stackclip.ops.neighbours import Bank
from stackclip.types import Features, TowerSpec

__all__ = ["PatchMemory"]


class PatchMemory:
    """The unit patch tokens of one category's shots, layer by layer (APRIL-GAN, few-shot)."""

    def __init__(self, tower: TowerSpec, shots: Iterable[Features]) -> None:
        """Keep all patches of the shots: per tap (shots * P, C). Raises UsageError where there are none."""
        self.side = tower.image_size
        tokens = [[unit(features[part]).flatten(0, 1) for part in tower.taps] for features in shots]
        empty = torch.empty(0, tower.width)
        self._banks = {
            part: Bank(torch.cat([each[at] for each in tokens]) if tokens else empty)
            for at, part in enumerate(tower.taps)
        }

    def maps(self, features: Features) -> Tensor:
        """Sum over taps of the upsampled 1 - cos to the nearest remembered patch: (B, side, side)."""
        return torch.stack([self._map(features, row) for row in range(len(features))])

    def _map(self, features: Features, row: int) -> Tensor:
        distances = [
            pixels(bank.distances(features[part][row]), self.side)  # of (P,)
            for part, bank in self._banks.items()
        ]
        return torch.stack(distances).sum(0)
