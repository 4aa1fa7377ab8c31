"""Windows of patches on a grid: which patches each holds, and what they say together of a patch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.ops.maps import local_means, on_grid
from stackclip.sizes import Side, Size, size_of

__all__ = ["harmonic_map", "weighed_windows", "window_means", "window_patches"]


def window_patches(grid: Side, side: int) -> Tensor:
    """The patches (windows, side * side) of each window of `side` x `side` patches, stride 1, row-major."""
    rows, columns = size_of(grid)
    numbers = torch.arange(rows * columns).reshape(rows, columns)
    return numbers.unfold(0, side, 1).unfold(1, side, 1).reshape(-1, side * side)


def harmonic_map(values: Tensor, *, grid: Side, side: int) -> Tensor:
    """The harmonic mean over the windows that hold each patch: values (B, windows) from 0 on -> (B, rows, columns).

    A patch in a window of value 0 has 0. WinCLIP, its aggregation of one scale.
    """
    down, across = (length - side + 1 for length in size_of(grid))
    kernel = values.new_ones(1, 1, side, side)
    inverse = (1 / values).reshape(-1, 1, down, across)
    held = F.conv_transpose2d(torch.ones_like(inverse[:1]), kernel)
    together: Tensor = (held / F.conv_transpose2d(inverse, kernel))[:, 0]
    return together


def weighed_windows(patches: Tensor, kernel: Tensor, grid: Size) -> Tensor:
    """Sums of the patches (B, P, C) of the window around each, weighed by a `kernel` (r, r) of odd side: (B, P, C).

    Beyond the `grid` there is nothing, which counts as 0.
    """
    channels = on_grid(patches.mT, grid).flatten(0, 1)[:, None]
    summed = F.conv2d(channels, kernel.to(patches)[None, None], padding=kernel.shape[0] // 2)
    return summed.reshape(patches.mT.shape).mT


def window_means(patches: Tensor, grid: Size, sides: Sequence[int] = (1, 3, 5)) -> Tensor:
    """The mean over odd `sides` of the means of patches (B, P, C) in windows of that side, zeros beyond the grid."""
    return torch.stack([local_means(patches, side, grid) for side in sides]).mean(0)
