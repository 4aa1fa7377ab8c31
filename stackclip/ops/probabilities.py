"""Maps of a trained head: probabilities of upsampled logits, summed over layers and stacks."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from stackclip.ops.maps import interpolation_matrix, upsample
from stackclip.sizes import Side, size_of

__all__ = ["probability_maps"]


def probability_maps(layers: Tensor, weights: Tensor, size: Side) -> Tensor:
    """Sum over layers and stacks of weight times the sigmoid of upsampled logits (L, B, K, rows, columns): (B, H, W).

    `weights` (B, K) are those of the stacks. On a CPU, where no gradient is asked for, it is made picture by picture in
    memory that stays in the processor's cache, and rows of pixels between two rows of the grid are not multiplied with
    those that count nothing there.
    """
    plain = torch.is_grad_enabled() and (layers.requires_grad or weights.requires_grad)
    if plain or weights.device.type != "cpu" or torch.compiler.is_exporting():
        return _summed_plainly(layers, weights, size)
    height, width = size_of(size)
    across = interpolation_matrix(layers.shape[-1], width).to(weights).mT.contiguous()  # (columns, W)
    upper, lower, share = _between(layers.shape[-2], height)
    total, (above, below) = weights.new_zeros(len(weights), height, width), weights.new_empty(2, height, width)
    for picture, (into, shares) in enumerate(zip(total, weights.tolist(), strict=True)):
        for logits in layers:
            for rows, weight in zip(logits[picture] @ across, shares, strict=True):  # (rows, W)
                torch.index_select(rows, 0, upper, out=above)
                torch.index_select(rows, 0, lower, out=below)
                torch.lerp(above, below, share.to(weights), out=above)
                into.add_(above.sigmoid_(), alpha=weight)
    return total


def _summed_plainly(layers: Tensor, weights: Tensor, size: Side) -> Tensor:
    total = weights.new_zeros(len(weights), *size_of(size))
    for logits in layers:
        for of_stack, weight in zip(logits.unbind(1), weights.unbind(1), strict=True):
            total = total + weight[:, None, None] * torch.sigmoid(upsample(of_stack, size))
    return total


@lru_cache(maxsize=32)
def _between(grid: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each row of pixels the rows of the grid above and below it, (side,) both, and the share of the lower one."""
    matrix = interpolation_matrix(grid, side)
    with torch.inference_mode(mode=False):
        upper = (matrix > 0).int().argmax(1)
        lower = (upper + 1).clamp(max=grid - 1)
        share = torch.where(lower > upper, matrix.gather(1, lower[:, None])[:, 0], 0)
        return upper, lower, share[:, None]
