"""Tells the values of a photograph from those of a mask, whatever the file is called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["has_many_hues", "is_photograph"]

_SIDE = 256  # pixels of the longer side that are looked at, every so many of a larger file
_SURELY = 4  # values that no photograph has
_MANY, _LARGE, _RESTLESS = 64, 0.25, 0.5
_INSIDE = 6.0  # pixels from the ground, where no edge reaches that a filter or a codec softened
_FEWEST = 25
_UNEVEN = 0.04
_BY_DEPTH = 0.8
_DARK, _BRIGHT, _MOSTLY = 0.2, 0.8, 0.85
_DEEPEST = 40
_HUES = 32


def is_photograph(values: NDArray[Any], colours: NDArray[np.uint8] | None = None) -> bool:
    """Whether the values of a file, (H, W), with ground at 0, are those of a photograph or a heat map, not of a mask.

    A photograph of an object on a black ground varies from pixel to pixel deep inside the object, and how deep a pixel
    lies does not tell its value; a mask has two values in the main, plateaus, or soft edges whose values depth tells
    (it explains at least 0.8 of the variance). More than 64 values that change from pixel to pixel over more than a
    quarter are continuous too, and so are `colours`, (H, W, 3), of more than 32 hues. What has no inside is a mask.
    """
    step = max(1, -(-max(values.shape) // _SIDE))
    values = values[::step, ::step]
    if colours is not None and has_many_hues(colours[::step, ::step]):
        return True
    paint = values > 0
    if (levels := len(np.unique(values))) <= _SURELY:
        return False
    if levels > _MANY and paint.mean() > _LARGE and _restless(values, paint):
        return True
    most = float(values.max())
    if (values[values > _DARK * most] >= _BRIGHT * most).mean() >= _MOSTLY:
        return False
    inside, depth, region = _depths(paint)
    if inside.sum() < _FEWEST or not _restless(values, inside):
        return False
    unexplained, told = _by_depth(values[inside], depth[inside], region[inside])
    if unexplained < _UNEVEN * most or told >= _BY_DEPTH:
        return False
    return _by_depth(values[paint], depth[paint], region[paint])[1] < _BY_DEPTH


def has_many_hues(colours: NDArray[np.uint8]) -> bool:
    """Whether the brighter pixels, (H, W, 3), have more than 32 ratios of the channels, in steps of a sixteenth."""
    most = colours.max(axis=2)
    bright = colours[most > most.max() // 2].astype(np.float64)
    if len(bright) == 0:
        return False
    return len(np.unique(np.rint(16 * bright / bright.max(axis=1, keepdims=True)), axis=0)) > _HUES


def _restless(values: NDArray[Any], among: NDArray[np.bool_]) -> bool:
    """Whether most neighbours in a row differ."""
    pairs = among[:, 1:] & among[:, :-1]
    return bool(pairs.any() and (values[:, 1:] != values[:, :-1])[pairs].mean() > _RESTLESS)


def _depths(paint: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """The pixels deep inside, how deep each lies, and the region it is of: (H, W); dark pixels are filled."""
    from scipy import ndimage

    filled = ndimage.binary_closing(np.pad(paint, 3, mode="edge"), np.ones((5, 5), bool))[3:-3, 3:-3]
    if filled.all():
        return paint, np.zeros(paint.shape, np.int64), np.zeros(paint.shape, np.int64)
    distance = ndimage.distance_transform_edt(np.pad(filled, 1, constant_values=True))[1:-1, 1:-1]
    region = np.asarray(ndimage.label(filled)[0], np.int64)
    return paint & (distance > _INSIDE), np.minimum(distance.astype(np.int64), _DEEPEST), region


def _by_depth(inside: NDArray[Any], depth: NDArray[np.int64], region: NDArray[np.int64]) -> tuple[float, float]:
    """The standard deviation of values (N,) about the mean of their depth in their region, and the share explained."""
    values = inside.astype(np.float64)
    _, place = np.unique(region * (_DEEPEST + 1) + depth, return_inverse=True)
    number = np.bincount(place)
    mean = np.bincount(place, values) / number
    left = float(np.sum((values - mean[place]) ** 2) / max(1, len(values) - len(number)))
    whole = float(values.var())
    return left**0.5, 1 - left / whole if whole else 1.0
