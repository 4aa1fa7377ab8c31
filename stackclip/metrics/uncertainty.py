"""How far a metric may be off because other pictures might have been taken: the bootstrap over pictures.

Pictures are drawn with replacement, and each draw is measured from what was counted of each picture once: a draw is a
row of whole numbers, how often each picture is in it, and the counts of all draws are one matrix product. Efron and
Tibshirani, An Introduction to the Bootstrap, 1993. What lies near 1 is skewed, and percentiles of draws of few pictures
cover it too seldom (decision 0074): the interval of a metric is symmetric in its logit (Pepe, Statistical Evaluation of
Medical Tests, 2003), that of a difference goes between percentiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtri

from stackclip.metrics.counts import Numbers
from stackclip.metrics.evidence import Evidence, measure

__all__ = [
    "DRAWS",
    "LEVEL",
    "Difference",
    "Interval",
    "around",
    "bootstrap_metrics",
    "difference_of",
    "draw_metrics",
    "enough",
    "interval_of",
    "paired_differences",
]

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Between what a metric lies, by as many draws as had it; `draws` is 0 where it follows from no draws."""

    low: float
    high: float
    draws: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the first method is better: on the same pictures, or over categories.

    Of draws, `low` and `high` are those of the middle part, and `p` is the two-sided bootstrap probability of a
    difference of the other sign; no draw can make it less than `least`. `draws` is 0 where it follows from none.
    """

    value: float
    low: float
    high: float
    p: float
    draws: int = 0

    @property
    def least(self) -> float:
        """The smallest p that there can be."""
        return 2 / (self.draws + 1) if self.draws else 0.0

    @property
    def leaves_out_zero(self) -> bool:
        """Whether the interval tells the two methods apart."""
        return self.low > 0 or self.high < 0


def draw_metrics(evidence: Evidence, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Numbers]:
    """The metrics of each draw (D,), not a number where it lacks one class; a seed draws the same of equally many."""
    return measure(evidence, _draw(len(evidence.labels), draws, seed))


def interval_of(value: float, values: Numbers, *, level: float = LEVEL) -> Interval | None:
    """The interval of a metric by its draws (D,): symmetric in the logit, with their standard deviation.

    Draws that lack the metric are left out. None if more than half do, and where no two draws differ (of pictures that
    are all told apart, say): these cannot tell how far the metric may be off.
    """
    kept = values[np.isfinite(values)]
    if not enough(values):
        return None
    ends = around(value, float(kept.std(ddof=1)) if kept.size > 1 else 0.0, float(ndtri((1 + level) / 2)))
    return Interval(*ends, kept.size) if ends else None


def around(value: float, error: float, times: float) -> tuple[float, float] | None:
    """The ends of what lies so many times its standard error around a fraction, in the logit; None for no error."""
    if not (0 < value < 1 and error > 1e-9):
        return None
    reach = times * error / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return float(low), float(high)


def difference_of(value: float, values: Numbers, *, level: float = LEVEL) -> Difference | None:
    """A difference by its draws (D,), as `interval_of`."""
    kept = values[np.isfinite(values)]
    if not enough(values) or not np.isfinite(value):
        return None
    tail = min(np.count_nonzero(kept <= 0), np.count_nonzero(kept >= 0))
    return Difference(value, *_middle(kept, level), min(1.0, 2 * (tail + 1) / (kept.size + 1)), kept.size)


def bootstrap_metrics(
    evidence: Evidence, *, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> dict[str, Interval]:
    """The interval of each metric, as `interval_of`.

    A draw that lacks one class has no metrics and is left out; so is a metric that fewer than half of the draws have.
    """
    whole = measure(evidence, np.ones((1, len(evidence.labels))))
    drawn = draw_metrics(evidence, draws=draws, seed=seed)
    intervals = {name: interval_of(float(whole[name][0]), values, level=level) for name, values in drawn.items()}
    return {name: interval for name, interval in intervals.items() if interval}


def paired_differences(
    first: Evidence, second: Evidence, *, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> dict[str, Difference]:
    """How much better the first method is by each metric that both have, each draw being the same pictures for both.

    Raises ValueError where the labels of the two are not the same.
    """
    if not np.array_equal(first.labels, second.labels):
        raise ValueError("a paired test compares two methods on the same pictures, and the labels are not the same")
    count = len(first.labels)
    weights = np.concatenate([np.ones((1, count)), _draw(count, draws, seed)])
    ours, theirs = measure(first, weights), measure(second, weights)
    differences = {}
    for name in [name for name in ours if name in theirs]:
        value, *others = ours[name] - theirs[name]
        if difference := difference_of(float(value), np.array(others), level=level):
            differences[name] = difference
    return differences


def enough(values: Numbers) -> bool:
    """Whether at least half of the draws (D,) have the metric."""
    return values.size > 0 and 2 * int(np.isfinite(values).sum()) >= values.size


def _draw(count: int, draws: int, seed: int) -> Numbers:
    """How often each of `count` pictures is in each draw of as many with replacement: (draws, count)."""
    counts = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return counts.astype(np.float64)


def _middle(values: Numbers, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
