"""Methods by their mean rank over blocks (categories or data sets): whether they differ, and which are told apart.

Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import inf, sqrt
from operator import add

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from stackclip.metrics.inference import holm
from stackclip.metrics.uncertainty import LEVEL

__all__ = ["ALPHA", "RankTest", "critical_difference", "groups_alike", "nemenyi_groups", "rank_test", "wilcoxon_groups"]

ALPHA = 1 - LEVEL
_EXACT = 50  # blocks up to which the distribution is counted out
_COUNTED_METHODS, _COUNTED_SUMS = 5, 500  # up to which all orders are counted out: a fraction of a second
_DIGITS = 6  # to which values are equal: their ranks are ties
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RankTest:
    """Mean ranks (k,), 1 for the best, over so many blocks; Friedman's statistic in the form of Iman and Davenport.

    `p` is that of F, or `exact` of all orders that there could be, where these are few enough to be counted.
    """

    ranks: tuple[float, ...]
    blocks: int
    statistic: float
    p: float
    exact: bool


def rank_test(values: Numbers) -> RankTest:
    """Rank methods by their values (N, k), higher is better; equal ones share the mean of their ranks.

    Friedman's statistic is corrected for ties. Raises ValueError for fewer than two blocks or two methods.
    """
    from scipy.stats import rankdata  # scipy.stats takes longer to load than a table to print

    blocks, count = values.shape
    if blocks < 2 or count < 2:
        raise ValueError(f"ranks are compared over two blocks or more of two methods or more, found {values.shape}")
    ranks = rankdata(-np.round(values, _DIGITS), axis=1)  # (N, k)
    mean = ranks.mean(0)
    middle = blocks * count * (count + 1) ** 2 / 4
    scatter = float((ranks**2).sum()) - middle  # 0 where all are ties
    chi = (count - 1) * (float((ranks.sum(0) ** 2).sum()) - blocks * middle) / scatter if scatter > 0 else 0.0
    left = blocks * (count - 1) - chi
    statistic = (blocks - 1) * chi / left if left > 1e-9 else inf
    exact = _exact_p(ranks)
    p = float(fdtrc(count - 1, (count - 1) * (blocks - 1), statistic)) if exact is None else exact
    return RankTest(tuple(mean.tolist()), blocks, float(statistic), p, exact is not None)


def _exact_p(ranks: Numbers) -> float | None:
    """How often sums of ranks (N, k) lie as far apart if all orders are alike; None where these are too many to count.

    Only how far apart they lie counts, so sums that are the same in another order are one.
    """
    if ranks.shape[1] > _COUNTED_METHODS:
        return None
    doubled = np.rint(2 * ranks).astype(int)  # ties have halves
    chances = {(0,) * ranks.shape[1]: 1.0}
    for block in doubled.tolist():
        orders, reached = set(permutations(block)), dict[tuple[int, ...], float]()
        for sums, chance in chances.items():
            for order in orders:
                key = tuple(sorted(map(add, sums, order)))
                reached[key] = reached.get(key, 0.0) + chance / len(orders)
        if len(reached) > _COUNTED_SUMS:
            return None
        chances = reached
    found = sum(each**2 for each in doubled.sum(0).tolist())
    return min(1.0, sum(chance for sums, chance in chances.items() if sum(each**2 for each in sums) >= found))


def critical_difference(methods: int, blocks: int, *, alpha: float = ALPHA) -> float:
    """By how much mean ranks have to differ (Nemenyi): the studentized range over the square root of 2."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, methods, inf)) / sqrt(2)
    return quantile * sqrt(methods * (methods + 1) / (6 * blocks))


def nemenyi_groups(found: RankTest, *, alpha: float = ALPHA) -> list[tuple[int, ...]]:
    """Methods, by their places, that Nemenyi's test does not tell apart, the best group first."""
    least = critical_difference(len(found.ranks), found.blocks, alpha=alpha)
    return groups_alike(found.ranks, lambda one, other: abs(found.ranks[one] - found.ranks[other]) < least)


def wilcoxon_groups(found: RankTest, values: Numbers, *, alpha: float = ALPHA) -> list[tuple[int, ...]]:
    """Methods that signed-rank tests of all pairs, corrected by Holm, do not tell apart: values (N, k)."""
    pairs = list(combinations(range(values.shape[1]), 2))
    chances = holm([_signed_ranks(values[:, one] - values[:, other]) for one, other in pairs])
    alike = {pair for pair, p in zip(pairs, chances, strict=True) if p >= alpha}
    return groups_alike(found.ranks, lambda one, other: (min(one, other), max(one, other)) in alike)


def groups_alike(ranks: Sequence[float], alike: Callable[[int, int], bool]) -> list[tuple[int, ...]]:
    """The longest runs of two or more methods, in the order of their ranks, of which every pair is alike."""
    order = sorted(range(len(ranks)), key=lambda place: ranks[place])
    runs, reached = list[tuple[int, ...]](), 0
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and all(alike(order[stop], other) for other in order[start:stop]):
            stop += 1
        if stop > max(reached, start + 1):
            runs.append(tuple(order[start:stop]))
            reached = stop
    return runs


def _signed_ranks(differences: Numbers) -> float:
    """The p of Wilcoxon's test; 1 where no block differs. It is that without ties for up to so many blocks."""
    from scipy.stats import wilcoxon

    rounded = np.round(differences, _DIGITS)
    some = rounded[rounded != 0]
    return float(wilcoxon(some, method="exact" if some.size <= _EXACT else "approx").pvalue) if some.size else 1.0
