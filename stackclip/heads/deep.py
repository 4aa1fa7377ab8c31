"""Deeper mappings of patch tokens into the joint space, in place of one linear layer (CLIP-AD, table 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from stackclip.heads.projections import Projections, draw_linear, empty_linear
from stackclip.types import Features, Part, TowerSpec

__all__ = ["DeepProjections"]


class DeepProjections(Projections):
    """Linear layers C -> C, `layers` - 1 of them, named `before.<tap>.<layer>.weight`, ahead of Projections' C -> D.

    `relu` puts a ReLU behind each but the last. The paper says how many layers there are; their width is our reading.
    """

    def __init__(self, tower: TowerSpec, *, layers: int, relu: bool, seed: int, taps: Sequence[Part]) -> None:
        super().__init__(tower, 1, seed=seed, taps=taps)
        self.relu = relu
        self.before = nn.ModuleList(
            nn.ModuleList(empty_linear(tower.width, tower.width) for _ in range(layers - 1)) for _ in self.taps
        )
        draw_linear(self.before, torch.Generator().manual_seed(seed + 1))

    def loss(self, features: Features, anchors: Tensor, stacks: Tensor) -> Tensor:
        """Focal plus dice, summed over the taps."""
        return super().loss(self._mapped(features), anchors, stacks)

    def maps(self, features: Features, anchors: Tensor, weights: Tensor) -> Tensor:
        """Sum over the taps of the probability: (B, H, W)."""
        return super().maps(self._mapped(features), anchors, weights)

    def _mapped(self, features: Features) -> Features:
        """The features with patch tokens as the last layer takes them."""
        mapped = {}
        for part, layers in zip(self.taps, self.before, strict=True):
            tokens = features[part]  # (B, P, C)
            for layer in cast(nn.ModuleList, layers):
                tokens = layer(tokens).relu() if self.relu else layer(tokens)
            mapped[part] = tokens
        return replace(features, parts={**features.parts, **mapped})
