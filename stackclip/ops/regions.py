"""Masks as labelled regions, and regions as runs of pixels that a store can hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Runs", "label_regions", "paint_mask", "paint_regions"]

Runs = NDArray[np.uint32]
"""(R, 3) rows of [start, stop, region]: half-open ranges of row-major pixels, sorted, each inside one picture row."""

_EIGHT = np.ones((3, 3), dtype=bool)  # diagonal neighbours belong together


def label_regions(mask: NDArray[Any]) -> Runs:
    """Find the 8-connected regions of a mask (H, W) and give them as runs (R, 3); non-zero pixels are anomalous.

    Regions are numbered from 1 in the order in which their first pixels stand in the picture. A mask without an
    anomalous pixel has R = 0. Raises ValueError for a mask that is not two-dimensional.
    """
    from scipy import ndimage

    anomalous = np.asarray(mask) != 0
    if anomalous.ndim != 2:
        raise ValueError(f"a mask is (H, W), this one has the shape {anomalous.shape}")
    if not anomalous.any():
        return np.empty((0, 3), dtype=np.uint32)
    regions, _ = ndimage.label(anomalous, structure=_EIGHT)
    edges = np.diff(np.pad(anomalous, ((0, 0), (1, 1))).view(np.int8), axis=1)  # (H, W + 1): +1 opens a run, -1 ends it
    width = anomalous.shape[1]
    row, column = np.nonzero(edges == 1)
    start = row * width + column
    row, column = np.nonzero(edges == -1)
    stop = row * width + column
    return np.stack([start, stop, regions.reshape(-1)[start]], axis=1).astype(np.uint32)


def paint_mask(runs: Runs, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (H, W) whose regions these runs are; `size` is (height, width).

    Raises ValueError for runs that do not fit into a picture of that size.
    """
    return paint_regions(runs, size).astype(bool)


def paint_regions(runs: Runs, size: tuple[int, int]) -> NDArray[np.uint32]:
    """The region number of each pixel (H, W), 0 where it is normal; `size` is (height, width).

    Raises ValueError for runs that do not fit into a picture of that size.
    """
    pixels = math.prod(size)
    painted = np.zeros(pixels, dtype=np.uint32)
    if len(runs):
        if int(runs[:, 1].max()) > pixels:
            raise ValueError(f"the runs reach pixel {int(runs[:, 1].max())}, a picture of {size} has {pixels}")
        for start, stop, region in runs.tolist():
            painted[start:stop] = region
    return painted.reshape(size)
