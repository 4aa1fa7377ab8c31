"""From clusters of patches and text anchors to the parts of a picture, stage by stage (CLIP-LAD, section 3.1).

All is of one picture. Its tokens lie on a grid of Q places, row by row, four for each patch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stackclip.ops.maps import on_grid, unit, upsample
from stackclip.sizes import Size

__all__ = [
    "EMPTY",
    "classes_of_places",
    "classes_of_regions",
    "doubled",
    "foreground_of",
    "histogram",
    "mean_of_regions",
    "nearest",
    "pieces",
    "twice",
]

EMPTY = -1
"""The class of a region without a place."""

_SPECK = 8 / 64**2  # the share of a picture up to which a component is a speck: 8 places of 64 x 64
_EIGHT = np.ones((3, 3), dtype=bool)


def twice(grid: Size) -> Size:
    """The grid of places where that of patches is `grid`."""
    return Size(2 * grid.height, 2 * grid.width)


def doubled(tokens: Tensor, grid: Size) -> Tensor:
    """Tokens (P, D) of a `grid` on one of twice the sides, bilinear with aligned corners, then of length 1: (4P, D)."""
    placed = on_grid(tokens.mT, grid)  # (D, rows, columns)
    return unit(upsample(placed, twice(grid)).flatten(1).mT)


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """The nearest of the centres (k, F) to each of the points (Q, F), Euclidean: (Q,)."""
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)


def mean_of_regions(tokens: Tensor, regions: Tensor, count: int) -> Tensor:
    """The mean token of each region, zero of one without a place: tokens (Q, D), regions (Q,) -> (count, D).

    CLIP-LAD, equation 1.
    """
    member = torch.nn.functional.one_hot(regions, count).to(tokens)  # (Q, count)
    return member.mT @ tokens / member.sum(0).clamp(min=1)[:, None]


def classes_of_regions(means: Tensor, anchors: Tensor, thresholds: Tensor) -> Tensor:
    """The class of each region by its mean token: means (k, D), unit anchors (n + b, D) -> (k,), EMPTY without a place.

    It is the most similar of n classes and b of the background, which all are n; and so is that of a region whose
    cosine is not above the threshold of its class, one of (n,).
    """
    last = len(thresholds)
    best, which = (unit(means) @ anchors.mT).max(1)
    classes = which.clamp(max=last)
    passed = best > torch.cat([thresholds, thresholds.new_full((1,), -torch.inf)])[classes]
    return torch.where(means.any(1), torch.where(passed, classes, last), EMPTY)


def foreground_of(classes: Tensor, background: int) -> Tensor:
    """Where the classes (rows, columns) are not the background, without its specks: (rows, columns) bool.

    A speck is an 8-connected component of at most 8 places of 64 x 64, and of other grids of as large a share.
    """
    from scipy import ndimage

    found = (classes != background).cpu().numpy()
    components, _ = ndimage.label(found, structure=_EIGHT)
    sizes = np.bincount(components.ravel())
    found &= sizes[components] > _SPECK * found.size
    return torch.from_numpy(found).to(classes.device)


def classes_of_places(tokens: Tensor, anchors: Tensor, foreground: Tensor, count: int) -> Tensor:
    """The most similar of `count` classes and those of the background behind them, which all are `count`: (Q,).

    Unit tokens (Q, D) and anchors (count + b, D). Outside the foreground (Q,) bool all is background; inside, some.
    """
    return torch.where(foreground, (tokens @ anchors.mT).argmax(1).clamp(max=count), count)


def histogram(classes: Tensor, count: int) -> Tensor:
    """How many places are of each of the first `count` classes: (..., Q) -> (..., count) float64."""
    return torch.nn.functional.one_hot(classes, count + 1).sum(-2)[..., :count].double()


def pieces(classes: Tensor, count: int) -> Sequence[int]:
    """How many 8-connected components each of the first `count` classes has on (rows, columns), specks not counted."""
    from scipy import ndimage

    least = _SPECK * classes.numel()
    found = []
    for each in range(count):
        components, _ = ndimage.label((classes == each).cpu().numpy(), structure=_EIGHT)
        found.append(int((np.bincount(components.ravel())[1:] > least).sum()))
    return found
