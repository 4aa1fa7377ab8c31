"""What values of some categories say of all categories: t intervals of their means; and Holm's correction of p.

Every category is another product, so the mean of C of them is off by their spread over the square root of C. With C - 1
degrees of freedom the t interval is that of a mixed model with a random effect of categories, as long as the data are
balanced; what pictures add to the spread is in it. Percentiles of draws of so few categories cover too seldom
(decision 0074).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from stackclip.metrics.uncertainty import LEVEL, Difference, Interval, around

__all__ = ["SAME", "holm", "mean_over_categories", "over_categories"]

SAME = 1e-9
"""A standard deviation below which values are taken to be equal."""


def over_categories(differences: ArrayLike, *, level: float = LEVEL) -> Difference | None:
    """The mean of paired differences (C,), one a category, with its t interval and the p of the paired t test.

    Seeds are averaged within each category before: they are no evidence of other categories. None of fewer than two
    categories, of what is not finite, and where all categories differ by the same amount: that has no spread to be
    tested by. Methods that are equal in all categories do not differ: 0 from 0 to 0, p = 1.
    """
    values = np.asarray(differences, np.float64)
    if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
        return None
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    if spread < SAME:
        return Difference(0.0, 0.0, 0.0, 1.0) if abs(mean) < SAME else None
    error, free = spread / np.sqrt(values.size), values.size - 1
    reach = float(stdtrit(free, (1 + level) / 2)) * error
    p = 2 * stdtr(free, -abs(mean) / error)
    return Difference(mean, float(mean - reach), float(mean + reach), float(p))


def mean_over_categories(values: ArrayLike, *, level: float = LEVEL) -> Interval | None:
    """The interval of the mean over all categories, by the values of some (C,): t, and symmetric in the logit.

    None of fewer than two categories, of what is not finite, and where all have the same value.
    """
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or found.size < 2 or not np.isfinite(found).all():
        return None
    error = float(found.std(ddof=1) / np.sqrt(found.size))
    ends = around(float(found.mean()), error, float(stdtrit(found.size - 1, (1 + level) / 2)))
    return Interval(*ends) if ends else None


def holm(chances: Sequence[float]) -> list[float]:
    """The p of several tests, corrected for their number: below .05 with p < .05 that any is so by chance.

    Holm, A simple sequentially rejective multiple test procedure, 1979: the smallest times their number, the next times
    one less, none smaller than the one before.
    """
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    corrected, least = [0.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(chances) - rank) * chances[place]))
        corrected[place] = least
    return corrected
