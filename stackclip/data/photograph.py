"""Tells the values of a photograph from those of a mask, whatever the file is called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["FEW", "has_many_hues", "is_photograph", "told_by_depth"]

FEW = 32  # values that a mask may have: numbers of defects, shades of an edge
_SURELY = 4
_DEEPEST = 40
_BY_DEPTH = 0.8
_LARGE, _RESTLESS = 0.25, 0.5
_HUES = 32


def is_photograph(values: NDArray[Any], colours: NDArray[np.uint8] | None = None) -> bool:
    """Whether the values of a file, (H, W), with ground at 0, are those of a photograph or a heat map, not of a mask.

    A mask has a few values that do not change from pixel to pixel, or soft edges: then how deep a pixel lies in its
    region tells its value (the depth explains at least 0.8 of the variance), as it does after a filter or an
    interpolation and does not in a photograph of an object on a black ground. More than 32 values that change from
    pixel to pixel on more than a quarter are continuous too, and so are `colours`, (H, W, 3), of more than 32 hues.
    """
    paint = values > 0
    if has_many_hues(colours):
        return True
    if (levels := len(np.unique(values))) <= _SURELY:
        return False
    pairs = paint[:, 1:] & paint[:, :-1]
    restless = pairs.any() and (values[:, 1:] != values[:, :-1])[pairs].mean() > _RESTLESS
    if levels <= FEW:
        return bool(restless) and told_by_depth(values) < _BY_DEPTH
    return bool(restless and paint.mean() > _LARGE) or told_by_depth(values) < _BY_DEPTH


def told_by_depth(values: NDArray[Any]) -> float:
    """The share of the variance above 0 in (H, W) that the distance to 0 explains in each region; at most 1."""
    paint = values > 0
    framed = np.pad(paint, 1, constant_values=not paint.all())
    depth = np.minimum(ndimage.distance_transform_edt(framed)[1:-1, 1:-1][paint].astype(np.int64), _DEEPEST)
    region = np.asarray(ndimage.label(paint)[0])[paint].astype(np.int64)
    _, place = np.unique(region * (_DEEPEST + 1) + depth, return_inverse=True)
    inside = values[paint].astype(np.float64)
    number = np.bincount(place)
    mean = np.bincount(place, inside) / number
    unexplained = np.sum((inside - mean[place]) ** 2) / max(1, len(inside) - len(number))
    return float(1 - unexplained / inside.var())


def has_many_hues(colours: NDArray[np.uint8] | None) -> bool:
    """Whether the brighter pixels, (H, W, 3), have more than 32 ratios of the channels, in steps of a sixteenth."""
    if colours is None:
        return False
    most = colours.max(axis=2)
    bright = colours[most > most.max() // 2].astype(np.float64)
    if len(bright) == 0:
        return False
    return len(np.unique(np.rint(16 * bright / bright.max(axis=1, keepdims=True)), axis=0)) > _HUES
