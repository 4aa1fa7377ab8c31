"""The two segmentation losses of the field, as the released code computes them.

The papers print the focal loss with alpha = 1, which drops the term of the normal pixels (FuzzyCLIP, equation 7); the
released code of APRIL-GAN weighs both classes alike. The code is followed: see docs/decisions/0004.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from stackclip.ops.portions import portions

__all__ = ["FOCAL_GAMMA", "dice_loss", "focal_loss", "focal_of_right", "segmentation_loss"]

FOCAL_GAMMA = 2.0  # APRIL-GAN; FuzzyCLIP below equation 8
FOCAL_SMOOTH = 1e-5  # label smoothing, and the guard of the logarithm, of the released code
DICE_SMOOTH = 1.0  # epsilon of equation 8


def focal_loss(logits: Tensor, mask: Tensor, *, gamma: float = FOCAL_GAMMA) -> Tensor:
    """Focal loss of a two-class map; the mean over all pixels.

    `logits` (B, H, W) are those of ANOMALOUS against NORMAL (their difference, before the sigmoid: near 0 and 1 a
    float32 probability has no digits left); `mask` (B, H, W) holds 0 and 1. Lin et al. 2017 without the weight alpha.
    """
    return focal_of_right(torch.sigmoid(torch.where(mask > 0, logits, -logits)), gamma=gamma)


def focal_of_right(right: Tensor, *, gamma: float = FOCAL_GAMMA) -> Tensor:
    """`focal_loss` where the probability `right` (B, H, W) of each pixel's true class is what was upsampled."""
    right = (1 - FOCAL_SMOOTH) * right + FOCAL_SMOOTH * (1 - right) + FOCAL_SMOOTH
    return -((1 - right) ** gamma * right.log()).mean()


def dice_loss(probability: Tensor, mask: Tensor) -> Tensor:
    """One minus the soft Dice coefficient of each picture, averaged: (B, H, W) both. FuzzyCLIP, equation 8."""
    probability, mask = probability.flatten(1), mask.flatten(1).to(probability)
    shared = (probability * mask).sum(1)
    coefficient = (2 * shared + DICE_SMOOTH) / (probability.sum(1) + mask.sum(1) + DICE_SMOOTH)
    return 1 - coefficient.mean()


def segmentation_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Focal plus dice loss of a two-class map, in a few passes over the pixels: (B, H, W) both.

    It is `focal_loss(logits, mask) + dice_loss(sigmoid(logits), mask)` with the gradient of both made on the way; of
    the logits of several layers (L, B, H, W) the sum.
    """
    layers = logits if logits.ndim == 4 else logits[None]
    loss: Tensor = _FocalDice.apply(layers.flatten(2), mask.flatten(1), torch.is_grad_enabled())
    return loss


class _FocalDice(torch.autograd.Function):
    """The two losses with their gradient by hand, which is made at once: a pixel's numbers are then still at hand.

    With the logit l, s the smoothing, y = 1 where the mask is set and -1 elsewhere, and p = sigmoid(y l), w = 1 - p:
    focal: r = p + 2 s w = 1 - k w for k = 1 - 2 s, and f = -(k w)^2 log r, so df/dl = y p k^2 w^2 (2 log r - k w / r).
    dice: q = sigmoid(l) is p or w, D = 1 - n / d for n = 2 sum(q m) + 1, d = sum(q) + sum(m) + 1, so dD/dl =
    p w (n / d - 2 m) / d. Both p and w are sigmoids: a difference from 1 would lose the digits that count. As q m is
    p m, and q + m is w + 2 p m, summed over a picture, q itself is not made.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, mask: Tensor, keep: bool) -> Tensor:
        """Of logits (L, B, N) and a mask (B, N); `keep` says whether a backward will follow."""
        gradient = torch.empty_like(logits) if keep else None
        span, count = 1 - 2 * FOCAL_SMOOTH, logits[0].numel()  # k
        focal, dice = [], []
        scratch: Tensor | None = None  # memory that is new for each portion would cost more than the arithmetic
        for some in portions(mask, logits[:, 0].numel()):
            here, marked = logits[:, some], mask[some].to(logits)  # l (L, b, N), m (b, N)
            scratch = here.new_empty(4, *here.shape) if scratch is None else scratch
            right, wrong, smooth, cost = scratch[:, :, : len(marked)]
            sign = torch.add(marked, -0.5).mul_(2)  # y
            torch.mul(sign, here, out=smooth)
            torch.sigmoid(smooth, out=right)  # p
            torch.sigmoid(smooth.neg_(), out=wrong)  # w
            shared = torch.mul(right, marked, out=smooth).sum(2)  # of q m, (L, b)
            total = torch.add(wrong.sum(2), shared, alpha=2).add_(DICE_SMOOTH)  # d
            overlap = shared.mul_(2).add_(DICE_SMOOTH).div_(total)  # n / d
            dice.append(1 - overlap)
            torch.add(right, wrong, alpha=2 * FOCAL_SMOOTH, out=smooth)  # r
            torch.log(smooth, out=cost).mul_(wrong)  # w log r
            work = smooth if gradient is None else gradient[:, some]
            focal.append(torch.mul(cost, wrong, out=work).sum(2))
            if gradient is not None:
                cost.sub_(torch.div(wrong, smooth, out=smooth).mul_(wrong), alpha=span / 2)
                share = total.mul_(len(mask)).reciprocal_()[..., None]  # 1 / (d B)
                torch.addcmul(share * overlap[..., None], marked, share * -2, out=smooth)
                smooth.addcmul_(cost, sign.mul_(2 * span**2 / count))
                torch.mul(smooth.mul_(right), wrong, out=work)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return -(span**2) * torch.cat(focal, 1).sum() / count + torch.cat(dice, 1).sum() / len(mask)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (of_logits,) = ctx.saved_tensors
        return of_logits * gradient, None, None
