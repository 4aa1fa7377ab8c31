"""The two segmentation losses of the field, as the released code computes them.

The papers print the focal loss with alpha = 1, which drops the term of the normal pixels (FuzzyCLIP, equation 7); the
released code of APRIL-GAN weighs both classes alike. The code is followed: see docs/decisions/0004.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FOCAL_GAMMA", "dice_loss", "focal_loss"]

FOCAL_GAMMA = 2.0  # APRIL-GAN; FuzzyCLIP below equation 8
FOCAL_SMOOTH = 1e-5  # label smoothing, and the guard of the logarithm, of the released code
DICE_SMOOTH = 1.0  # epsilon of equation 8


def focal_loss(logits: Tensor, mask: Tensor, *, gamma: float = FOCAL_GAMMA) -> Tensor:
    """Focal loss of a two-class map; the mean over all pixels.

    `logits` (B, H, W) are those of ANOMALOUS against NORMAL (their difference, before the sigmoid: near 0 and 1 a
    float32 probability has no digits left); `mask` (B, H, W) holds 0 and 1. Lin et al. 2017 without the weight alpha.
    """
    right = torch.sigmoid(torch.where(mask > 0, logits, -logits))
    right = (1 - FOCAL_SMOOTH) * right + FOCAL_SMOOTH * (1 - right) + FOCAL_SMOOTH
    return -((1 - right) ** gamma * right.log()).mean()


def dice_loss(probability: Tensor, mask: Tensor) -> Tensor:
    """One minus the soft Dice coefficient of each picture, averaged: (B, H, W) both. FuzzyCLIP, equation 8."""
    probability, mask = probability.flatten(1), mask.flatten(1).to(probability)
    shared = (probability * mask).sum(1)
    coefficient = (2 * shared + DICE_SMOOTH) / (probability.sum(1) + mask.sum(1) + DICE_SMOOTH)
    return 1 - coefficient.mean()
