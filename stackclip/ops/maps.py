"""From patch tokens to pixels: cosine logits, and the bilinear upsampling that every head shares."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["LOGIT_SCALE", "anomaly_logits", "interpolation_matrix", "unit", "upsample"]

LOGIT_SCALE = 100.0  # CLIP's learned temperature, fixed by APRIL-GAN and all that follow it


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors (..., D) to length 1."""
    return F.normalize(vectors, dim=-1)


def anomaly_logits(tokens: Tensor, anchors: Tensor, side: int, *, scale: float = LOGIT_SCALE) -> Tensor:
    """Logits of ANOMALOUS against NORMAL at every pixel: tokens (B, P, D), anchors (B, 2, D) -> (B, side, side).

    The released code upsamples both logits and takes the softmax of two. Upsampling is linear, so the sigmoid of this
    upsampled *difference* is the same probability for half the work. FuzzyCLIP, equation 6; APRIL-GAN, its test loop.
    """
    difference = anchors[:, ANOMALOUS] - anchors[:, NORMAL]  # (B, D)
    logits = scale * torch.einsum("bpd,bd->bp", unit(tokens), difference)
    grid = math.isqrt(logits.shape[1])
    return upsample(logits.reshape(-1, grid, grid), side)


def upsample(maps: Tensor, side: int) -> Tensor:
    """Bilinear, corners aligned: (..., g, g) -> (..., side, side), as two small matrix products."""
    matrix = interpolation_matrix(maps.shape[-1], side).to(maps)
    return matrix @ maps @ matrix.mT


@lru_cache(maxsize=32)
def interpolation_matrix(grid: int, side: int) -> Tensor:
    """Rows of weights (side, grid) that interpolate `grid` points at `side` places, corners aligned."""
    points = torch.eye(grid, dtype=torch.float64)[None]
    weights = F.interpolate(points, size=side, mode="linear", align_corners=True)[0]  # (grid, side)
    return weights.T.contiguous()
