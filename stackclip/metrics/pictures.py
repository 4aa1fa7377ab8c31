"""One picture's scores and regions, checked and laid flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import NonFiniteScores
from stackclip.ops.regions import Runs

__all__ = ["Ends", "Regions", "as_scores", "flat_map", "non_finite", "pixels_of"]

Ends = tuple[Any, Any]
"""The lowest and the highest score of a map, NaN where there is one in it."""


def as_scores(scores: Any) -> NDArray[Any]:
    """The scores as they are, or as float32 or float64 where they are half floats or whole numbers."""
    array: NDArray[Any] = np.asarray(scores)
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def flat_map(scores: Any, ends: Ends | None = None) -> tuple[NDArray[Any], Any, Any]:
    """A map (H, W) as (H * W,), with its lowest and its highest score, which are looked for where `ends` are not given.

    Raises NonFiniteScores for NaN or infinity and ValueError for another shape or no pixel.
    """
    array = as_scores(scores)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"a map is (H, W), this one has the shape {array.shape}")
    low, high = (array.min(), array.max()) if ends is None else map(array.dtype.type, ends)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise NonFiniteScores(f"{non_finite(array)} of {array.size} pixels of the map are NaN or infinite")
    return array.reshape(-1), low, high


def non_finite(scores: NDArray[Any]) -> int:
    """How many scores are NaN or infinite."""
    return scores.size - int(np.count_nonzero(np.isfinite(scores)))


@dataclass(frozen=True, slots=True)
class Regions:
    """The anomalous pixels of a picture as runs, in order.

    `starts`, `lengths` and `numbers` (R,) are the first pixel of each run, its pixels and its region, 0..G-1; `areas`
    (G,) the pixels of each region.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    numbers: NDArray[np.int64]
    areas: NDArray[np.int64]

    @classmethod
    def of(cls, runs: Runs, size: int) -> Regions:
        """Read labelled runs (R, 3) of a picture of so many pixels. Raises ValueError for runs of the wrong form."""
        runs = np.asarray(runs)
        if runs.ndim != 2 or runs.shape[1] != 3:
            raise ValueError(f"runs are (R, 3), these have the shape {runs.shape}")
        starts, stops, labels = runs.astype(np.int64).T
        if (starts >= stops).any() or (starts[1:] < stops[:-1]).any() or stops[-1:].sum() > size:
            raise ValueError(f"runs must be sorted, apart and inside the {size} pixels of the map")
        lengths = stops - starts
        _, numbers = np.unique(labels, return_inverse=True)
        return cls(starts, lengths, numbers, np.bincount(numbers, weights=lengths).astype(np.int64))


def pixels_of(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pixels (M,) of runs that begin at `starts` (R,), in order."""
    ahead = np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    return ahead + np.arange(ahead.size)
