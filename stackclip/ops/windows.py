"""Windows of patches on a square grid: which patches each holds, and what they say together of a patch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["harmonic_map", "window_patches"]


def window_patches(grid: int, side: int) -> Tensor:
    """The patches (windows, side * side) of each window of `side` x `side` patches, stride 1, row-major."""
    numbers = torch.arange(grid * grid).reshape(grid, grid)
    return numbers.unfold(0, side, 1).unfold(1, side, 1).reshape(-1, side * side)


def harmonic_map(values: Tensor, *, grid: int, side: int) -> Tensor:
    """The harmonic mean over the windows that hold each patch: values (B, windows) above or at 0 -> (B, grid, grid).

    A patch in a window of value 0 has 0. WinCLIP, its aggregation of one scale.
    """
    count = grid - side + 1
    kernel = values.new_ones(1, 1, side, side)
    inverse = (1 / values).reshape(-1, 1, count, count)
    held = F.conv_transpose2d(torch.ones_like(inverse[:1]), kernel)
    together: Tensor = (held / F.conv_transpose2d(inverse, kernel))[:, 0]
    return together
