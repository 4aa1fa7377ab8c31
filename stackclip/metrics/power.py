"""How many seeds, categories or pictures a difference wants to be told from none, by what varies between them.

The difference of two methods on category c with seed s is taken to be mean + category + seed + rest: a two-way layout
without repetitions, whose components are those of its mean squares (Searle, Casella and McCulloch, Variance Components,
1992, section 4.3). The same pictures are tested with all seeds, so what they add is part of the categories.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtr, ndtri, stdtrit

from stackclip.metrics.uncertainty import LEVEL

__all__ = ["MOST", "POWER", "Components", "components_of", "power_of_t"]

POWER = 0.8
MOST = 10_000
"""More than these are not looked for."""
_NOTHING = 1e-18  # a variance of what does not vary
_NEAR = 4  # beyond, the lower tail has less than 4e-5, and is not always computed
_FAR = 35  # beyond, the distribution function is not computed: the estimated error alone decides, as `power_of_t` says
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Components:
    """Variances of a difference: between categories (pictures among them), seeds, and of what is neither.

    `mean` is that over all. Not a number is what one category, or one seed, cannot tell; with one seed `categories`
    holds the rest too, with one category `seeds` does. `pictures` is the variance of the mean from pictures alone, of
    whole categories at hand.
    """

    mean: float
    categories: float
    seeds: float
    rest: float
    of_categories: int
    of_seeds: int
    pictures: float = nan

    def seeds_needed(self, difference: float) -> float:
        """Seeds with which a t test over seeds finds the difference on these categories; inf for more than MOST.

        0 where seeds change nothing; not a number where there was one.
        """
        variance = self.seeds + self.rest / self.of_categories
        return _least(difference, variance)

    def categories_needed(self, difference: float) -> float:
        """Categories with which a t test over categories finds it with as many seeds; as `seeds_needed`."""
        variance = self.categories + (0.0 if self.of_seeds == 1 else self.rest / self.of_seeds)
        return _least(difference, variance)

    def seeds_for_categories(self, difference: float) -> float:
        """Seeds with which a t test over the categories at hand finds it: inf where no number does."""
        free = self.of_categories - 1
        if np.isnan(self.categories) or np.isnan(self.rest):
            return nan

        def found(seeds: float) -> bool:
            error = sqrt((self.categories + self.rest / seeds) / self.of_categories)
            return power_of_t(difference, error, free) >= POWER

        return _first(found, 1) if found(inf) else inf

    def pictures_factor(self, difference: float) -> float:
        """How many times the pictures of these categories a test over pictures wants; not a number without draws."""
        reach = ndtri((1 + LEVEL) / 2) + ndtri(POWER)
        return float(reach**2 * self.pictures / difference**2)


def components_of(differences: Numbers, pictures: float = nan) -> Components:
    """The components of differences (C, S): a line for each category, a column for each seed, none of them lacking."""
    count, seeds = differences.shape
    mean, rows, columns = float(differences.mean()), differences.mean(1), differences.mean(0)
    if count == 1 or seeds == 1:
        between = float(rows.var(ddof=1)) if count > 1 else nan
        together = float(columns.var(ddof=1)) if seeds > 1 else nan
        rest = nan if count > 1 or seeds == 1 else 0.0
        return Components(mean, between, together, rest, count, seeds, pictures)
    left = differences - rows[:, None] - columns + mean
    rest = float((left**2).sum() / ((count - 1) * (seeds - 1)))
    between = max(0.0, float(rows.var(ddof=1)) - rest / seeds)
    together = max(0.0, float(columns.var(ddof=1)) - rest / count)
    return Components(mean, between, together, rest, count, seeds, pictures)


def power_of_t(difference: float, error: float, free: int, *, level: float = LEVEL) -> float:
    """How often a two-sided t test finds a difference with this standard error: by the noncentral t distribution.

    Where the difference is more than 35 errors it is right to 2e-4 at levels up to .99, to 5e-4 at .999, and to 1e-3 at
    .9999.
    """
    from scipy.stats import nct  # takes as long to load as all else here

    if error <= 0:
        return float(difference != 0)
    reach, shift = float(stdtrit(free, (1 + level) / 2)), abs(difference) / error
    if shift > _FAR:
        return float(chdtr(free, free * (shift / reach) ** 2))
    lower = nct.cdf(-reach, free, shift) if shift < _NEAR else 0.0
    return float(nct.sf(reach, free, shift) + lower)


def _least(difference: float, variance: float) -> float:
    """The fewest values of this variance, two or more, whose t test finds the difference often enough."""
    if np.isnan(variance) or variance < _NOTHING:
        return nan if np.isnan(variance) else 0
    return _first(lambda count: power_of_t(difference, sqrt(variance / count), int(count) - 1) >= POWER, 2)


def _first(fits: Callable[[float], bool], lowest: int) -> float:
    """The lowest whole number that fits, where all above it fit too; inf beyond MOST."""
    low, high = lowest, lowest
    while not fits(high):
        if high >= MOST:
            return inf
        low, high = high + 1, min(2 * high, MOST)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return high
