"""A memory of normal patch tokens, and how far a picture's patches are from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stackclip.ops.maps import unit, upsample
from stackclip.ops.neighbours import nearest_cosine
from stackclip.types import Features, Part, TowerSpec

__all__ = ["PatchMemory"]


class PatchMemory:
    """The unit patch tokens of a category's shots, layer by layer (APRIL-GAN, few-shot)."""

    def __init__(self, tower: TowerSpec) -> None:
        self.taps = tower.taps
        self.side = tower.image_size
        self._banks: dict[tuple[str, Part], Tensor] = {}

    def remember(self, category: str, features: Features) -> None:
        """Keep all patches of the shots: per tap (shots * P, C)."""
        for part in self.taps:
            self._banks[category, part] = unit(features[part]).flatten(0, 1)

    def maps(self, features: Features) -> Tensor:
        """Sum over taps of the upsampled 1 - cos to the nearest remembered patch: (B, side, side)."""
        rows = []
        for row, category in enumerate(features.categories):
            distances = []
            for part in self.taps:
                nearest = nearest_cosine(features[part][row], self._banks[category, part])  # (P,)
                grid = math.isqrt(len(nearest))
                distances.append(upsample(nearest.reshape(grid, grid), self.side))
            rows.append(torch.stack(distances).sum(0))
        return torch.stack(rows)
