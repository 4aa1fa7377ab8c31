"""The AUPRO of the script that APRIL-GAN, CLIP-AD and AnomalyCLIP share, to the last bit.

Thresholds from the lowest score of the category in 200 equal steps, short of the highest; a pixel above (not at) a
threshold is positive; of the points with a false-positive rate below 0.3, the rates are stretched to [0, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics.names import FPR_LIMIT

__all__ = ["THRESHOLDS", "TOO_FEW_RATES", "area_of", "thresholds_of", "trapezoid"]

THRESHOLDS = 200  # the script's `max_step`
TOO_FEW_RATES = f"its thresholds give fewer than two false-positive rates below {FPR_LIMIT}"


def thresholds_of(low: Any, high: Any) -> NDArray[Any] | str:
    """The thresholds for scores from `low` to `high`, numpy scalars of the scores' dtype; or why there are none."""
    if low == high:
        return "every pixel has the same score"
    with np.errstate(over="ignore"):
        step = (high - low) / low.dtype.type(THRESHOLDS)
    if not 0 < step < np.inf:
        return f"the scores from {low} to {high} do not divide into {THRESHOLDS} thresholds"
    return _round_down(np.arange(low, high, step, dtype=np.float64), low.dtype)


def area_of(rates: NDArray[np.float64], overlap: NDArray[np.float64]) -> float | str:
    """The script's area under overlap against the false-positive rate of each threshold; or why it has none."""
    kept = rates < FPR_LIMIT
    if kept.sum() < 2 or np.ptp(rates[kept]) == 0:
        return TOO_FEW_RATES
    rates, overlap = rates[kept], overlap[kept]
    stretched = (rates - rates.min()) / (rates.max() - rates.min())
    return -trapezoid(stretched, overlap) + 0.0  # rates fall; + 0.0 clears the sign of zero


def trapezoid(x: NDArray[Any], y: NDArray[Any]) -> float:
    """The signed area below the points joined by straight lines."""
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def _round_down(thresholds: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The highest number of `dtype` that is not above each threshold: the same scores lie above both.

    Searching for float64 thresholds among float32 scores would copy all the scores.
    """
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(dtype)
    return np.where(rounded > thresholds, np.nextafter(rounded, dtype.type(-np.inf)), rounded)
