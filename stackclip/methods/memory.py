"""A memory of normal patch tokens, and how far a picture's patches are from it."""

from __future__ import annotations

import torch
from torch import Tensor

from stackclip.ops.maps import pixels, unit
from stackclip.ops.neighbours import Bank
from stackclip.types import Features, Part, TowerSpec

__all__ = ["PatchMemory"]


class PatchMemory:
    """The unit patch tokens of a category's shots, layer by layer (APRIL-GAN, few-shot)."""

    def __init__(self, tower: TowerSpec) -> None:
        self.taps = tower.taps
        self.side = tower.image_size
        self._banks: dict[tuple[str, Part], Bank] = {}

    def remember(self, category: str, features: Features) -> None:
        """Keep all patches of the shots: per tap (shots * P, C)."""
        for part in self.taps:
            self._banks[category, part] = Bank(unit(features[part]).flatten(0, 1))

    def maps(self, features: Features) -> Tensor:
        """Sum over taps of the upsampled 1 - cos to the nearest remembered patch: (B, side, side)."""
        rows = []
        for row, category in enumerate(features.categories):
            distances = []
            for part in self.taps:
                nearest = self._banks[category, part].distances(features[part][row])  # (P,)
                distances.append(pixels(nearest, self.side))
            rows.append(torch.stack(distances).sum(0))
        return torch.stack(rows)
