"""Prompts that the regions of a picture move, the defective one and the rest each its own side (MRAD-CLIP)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stackclip.heads.projections import draw_linear, empty_linear
from stackclip.learners import TextTower
from stackclip.methods.anomalyclip import ObjectPrompts
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["RegionPrompts", "region_means"]

_CONTEXT, _DEEP, _DEPTH = 12, 4, 9  # as AnomalyCLIP


class RegionPrompts(nn.Module):
    """AnomalyCLIP's two prompts, whose context each picture moves by a linear function of what its regions look like.

    The parameters are those of `objects` and `shifts.0` (normal) and `shifts.1` (anomalous), Linear(D -> W), drawn from
    the seed. With `half` deep tokens are rounded to float16.
    """

    def __init__(self, text: TextTower, joint: int, *, half: bool, seed: int) -> None:
        super().__init__()
        self.objects = ObjectPrompts(text, context=_CONTEXT, deep=_DEEP, depth=_DEPTH, half=half, seed=seed)
        width = self.objects.words.shape[-1]
        self.shifts = nn.ModuleList(empty_linear(joint, width) for _ in (NORMAL, ANOMALOUS))
        draw_linear(self.shifts, torch.Generator().manual_seed(seed))
        self.shifts.to(self.objects.words)

    def forward(self, regions: Tensor) -> Tensor:
        """Raw text features (B, 2, D) of pictures with the region means (B, 2, D)."""
        moved = [shift(regions[:, side]) for side, shift in enumerate(self.shifts)]
        features: Tensor = self.objects(torch.stack(moved, dim=1))
        return features


def region_means(patches: Tensor, anomalous: Tensor) -> Tensor:
    """The means (B, 2, D) of the patches (B, P, D) that are not and that are `anomalous` (B, P); 0 of none."""
    weights = torch.stack([~anomalous, anomalous], dim=1).to(patches)  # (B, 2, P), NORMAL and ANOMALOUS
    return weights @ patches / weights.sum(-1, keepdim=True).clamp(min=1)
