"""What scores of good pictures say of another one: p-values, verdicts that hold, and whether a batch has drifted.

A verdict is a conformal test (Vovk et al., Algorithmic Learning in a Random World, 2005): if a picture is as good as
the n good ones, exchangeable with them, its p-value (1 + #{good scores >= its score}) / (n + 1) is at most `rate` with
a probability of at most `rate`, whatever the method and however few they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import UsageError
from stackclip.ops.words import counted

__all__ = ["RATE", "check_rate", "drift_of", "lowest_rate", "needed_for", "p_values", "percentiles", "threshold_of"]

_Scores = NDArray[np.float64]
RATE = 0.05  # false alarms, where nobody says
SURE = 0.01  # of good batches, as many at most are said to have drifted


def lowest_rate(good: int) -> float:
    """The smallest false-alarm rate that so many good pictures allow to promise: 1 / (n + 1)."""
    return 1 / (good + 1)


def needed_for(rate: float) -> int:
    """The good pictures without which a false-alarm rate cannot be promised."""
    return math.ceil(1 / rate - 1e-9) - 1


def check_rate(rate: float, good: int) -> None:
    """Raise UsageError for a false-alarm rate that so many good pictures do not allow to promise."""
    if lowest_rate(good) > rate * (1 + 1e-9):
        raise UsageError(
            f"a false-alarm rate of {rate:.3g} wants {counted(needed_for(rate), 'good picture')} that the method was "
            f"not shown, and there {'is' if good == 1 else 'are'} {good}: add some to --good, or say --false-alarms "
            f"{math.ceil(1000 * lowest_rate(good)) / 1000:g}"
        )


def p_values(good: Sequence[float] | _Scores, tested: Sequence[float] | _Scores) -> _Scores:
    """The share of pictures, itself and the good ones, that score at least as high: (N,), in [1 / (n + 1), 1]."""
    known = np.sort(np.asarray(good, np.float64))
    above = len(known) - np.searchsorted(known, np.asarray(tested, np.float64), side="left")
    return np.asarray((1 + above) / (len(known) + 1), np.float64)


def percentiles(good: Sequence[float] | _Scores, tested: Sequence[float] | _Scores) -> _Scores:
    """How many in a hundred of the good pictures score lower: (N,), in [0, 100]."""
    known = np.sort(np.asarray(good, np.float64))
    below = np.searchsorted(known, np.asarray(tested, np.float64), side="left")
    return np.asarray(100 * below / max(1, len(known)), np.float64)


def threshold_of(good: Sequence[float] | _Scores, rate: float) -> float:
    """The score above which a p-value is at most `rate`: the conformal quantile of the good scores.

    Raises UsageError for fewer good pictures than the rate wants.
    """
    check_rate(rate, len(good))
    allowed = math.floor(rate * (len(good) + 1) + 1e-9) - 1  # good pictures that may score as high
    return float(np.sort(np.asarray(good, np.float64))[::-1][allowed])


@dataclass(frozen=True, slots=True)
class Drift:
    """That tested scores as a whole lie `higher` or `lower` than those of good pictures, and how surely not by chance.

    `beyond` of `tested` pictures are on that side of the median of the good ones.
    """

    side: str
    beyond: int
    tested: int
    chance: float

    def __str__(self) -> str:
        what = (
            "more than half of them are defective, or light, camera or product are others than when the good ones were"
            " taken"
            if self.side == "higher"
            else "they may be of another kind than the good ones"
        )
        return (
            f"drift: {self.beyond} of {counted(self.tested, 'picture')} score {self.side} than half of the good ones "
            f"do (by chance: {self.chance:.1g}); {what}, and the false-alarm rate is not promised for them"
        )


def drift_of(good: Sequence[float] | _Scores, tested: Sequence[float] | _Scores) -> Drift | None:
    """Whether tested scores look unlike the good ones, even if up to half of the pictures are defective.

    How many of N exchangeable scores are at most the r-th of n is beta-binomial (N, r, n + 1 - r). Too few below the
    median of the good ones among the half that must be good is a drift upwards; too few above it among all, downwards,
    as defects only raise scores. Scores as high as the median speak against either. None where neither is surer than
    `SURE`.
    """
    from scipy import stats

    known, found = np.sort(np.asarray(good, np.float64)), np.asarray(tested, np.float64)
    if not len(known) or not len(found):
        return None
    middle = (len(known) + 1) // 2
    median, must_be_good = known[middle - 1], len(found) - len(found) // 2
    below, above = int((found <= median).sum()), int((found >= median).sum())
    upwards = float(stats.betabinom.cdf(below, must_be_good, middle, len(known) + 1 - middle))
    downwards = float(stats.betabinom.cdf(above, len(found), len(known) + 1 - middle, middle))
    if upwards <= SURE / 2:
        return Drift("higher", len(found) - below, len(found), upwards)
    return Drift("lower", len(found) - above, len(found), downwards) if downwards <= SURE / 2 else None
