"""Which patches of a picture are the object, and not what it lies on."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MaskReach", "foreground"]

MaskReach = Literal["grid", "row"]
"""Where a mask is widened and closed: over the grid of patches, or along them as one row."""

_CENTRE, _LEAST = (0.2, 0.8), 0.35  # the middle of a picture, and the share of it that the object covers


def foreground(tokens: Tensor, grid: tuple[int, int], threshold: float, *, spread: bool, reach: MaskReach) -> Tensor:
    """The patches (P,) whose first principal component is above a threshold: tokens (P, C), P = h w of the `grid`.

    The threshold is in units of the component, or of its standard deviation over the picture (`spread`). Where these
    cover no more than 35 % of the middle, the other sign of the component is taken. The mask is widened by one patch
    and closed. AnomalyDINO, as released, which does so along the `row` of all patches.
    """
    component = _first_component(tokens)
    component = component / component.std(correction=0).clamp(min=1e-12) if spread else component
    found = component > threshold
    if _in_the_middle(found, grid) <= _LEAST:
        found = -component > threshold
    mask = found.float()[None, None] if reach == "row" else found.float().reshape(1, 1, *grid)
    return _eroded(_widened(_widened(mask))).flatten() > 0


def _first_component(tokens: Tensor) -> Tensor:
    """The first principal component of each of the tokens (P, C): (P,); its largest loading is positive."""
    centred = tokens - tokens.mean(0)
    direction = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    component: Tensor = centred @ (direction * direction[direction.abs().argmax()].sign())
    return component


def _in_the_middle(mask: Tensor, grid: tuple[int, int]) -> float:
    """The share of the middle of a picture that a mask (P,) covers."""
    rows, columns = (_middle(side) for side in grid)
    return float(mask.reshape(grid)[rows, columns].float().mean())


def _middle(side: int) -> slice:
    """The middle of a side of so many patches; of one patch, which has none, all of it."""
    first, last = (int(end * side) for end in _CENTRE)
    return slice(first, max(last, first + 1))


def _widened(mask: Tensor) -> Tensor:
    pool = F.max_pool1d if mask.ndim == 3 else F.max_pool2d
    return pool(mask, 3, stride=1, padding=1)


def _eroded(mask: Tensor) -> Tensor:
    return -_widened(-mask)
