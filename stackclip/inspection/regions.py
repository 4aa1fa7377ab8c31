"""The regions of a map above a threshold, as outlines in the pixels of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray

__all__ = ["Region", "regions_of"]

_EIGHT = np.ones((3, 3), dtype=bool)  # diagonal neighbours belong together


@dataclass(frozen=True, slots=True)
class Region:
    """A connected region: its `area` in pixels of the picture, its highest score, and its outline.

    `box` is (left, top, width, height), `polygons` are closed outlines (K, 2) of x and y, all in pixels of the picture,
    whose first pixel reaches from 0 to 1. Holes are left out of the area, not of the outlines.
    """

    area: float
    peak: float
    box: tuple[float, float, float, float]
    polygons: tuple[NDArray[np.float64], ...]


def regions_of(scores: NDArray[np.floating], threshold: float, size: tuple[int, int]) -> list[Region]:
    """The 8-connected regions of a map (H, W) where scores are above the threshold, that with the highest peak first.

    `size` is (width, height) of the picture that the map is of. An outline runs between the centres of the map's
    pixels, where the score would be the threshold.
    """
    from scipy import ndimage

    above = scores > threshold
    if not above.any():
        return []
    labels, _ = ndimage.label(above, structure=_EIGHT)
    found = [
        _region(scores, labels == number, (place[0], place[1]), threshold, size)
        for number, place in enumerate(ndimage.find_objects(labels), start=1)
    ]
    return sorted(found, key=lambda region: -region.peak)


def _region(
    scores: NDArray[np.floating],
    inside: NDArray[np.bool_],
    place: tuple[slice, slice],
    threshold: float,
    size: tuple[int, int],
) -> Region:
    scale = np.array([size[0] / scores.shape[1], size[1] / scores.shape[0]])
    own = inside[place]
    left, top = (place[axis].start for axis in (1, 0))
    low = np.array([left, top]) * scale
    extent = np.array([own.shape[1], own.shape[0]]) * scale
    polygons = tuple(_outlines(scores, inside, place, threshold, scale))
    area, peak = float(own.sum() * scale.prod()), float(scores[place][own].max())
    return Region(area, peak, (float(low[0]), float(low[1]), float(extent[0]), float(extent[1])), polygons)


def _outlines(
    scores: NDArray[np.floating],
    inside: NDArray[np.bool_],
    place: tuple[slice, slice],
    threshold: float,
    scale: NDArray[np.float64],
) -> Iterator[NDArray[np.float64]]:
    """The outer outlines (K, 2) of a region, each ending where it begins; at an edge of the map they follow it."""
    rows, columns = (slice(max(0, part.start - 1), part.stop + 1) for part in place)
    own, level = inside[rows, columns], np.array(scores[rows, columns], np.float64)
    others = ~own & (level > threshold)
    level[others] = 2 * threshold - level[others]
    around = np.pad(level, 1, mode="edge")
    around = np.minimum(around, 2 * threshold - around)
    around[1:-1, 1:-1] = level
    filled = contour_generator(z=around, fill_type="OuterOffset").filled(np.nextafter(threshold, np.inf), np.inf)
    first = np.array([columns.start, rows.start]) - 0.5  # the centre of the border's first pixel
    limits = np.array(scores.shape[::-1])
    for points, offsets in zip(*filled, strict=True):
        yield np.clip(points[offsets[0] : offsets[1]] + first, 0, limits) * scale
