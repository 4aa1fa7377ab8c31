"""The pixel metrics from binned scores: one pass, the same memory for any number of pictures, and a bound of the error.

The order of scores inside a bin is not known. Whatever it is, each metric lies between two values that the counts give;
the value reported is the one for normal and anomalous scores that are mixed evenly, and its bound the distance to the
farther of the two. Bins of a single score, and bins without an anomalous one, add nothing to a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics.bins import BUDGET, ScoreBins, areas_of_bins
from stackclip.metrics.cflow import TOO_FEW_RATES, area_of, thresholds_of
from stackclip.metrics.names import FPR_LIMIT, PIXEL_METRICS, Measured, aupro_name
from stackclip.metrics.pictures import Ends, Regions, flat_map
from stackclip.ops.regions import Runs

__all__ = ["TOLERANCE", "StreamedPixelMetrics"]

TOLERANCE = 1e-5  # a larger bound asks for the exact form
_ROUNDING = 1e-12  # of the sums themselves, in every bound
_FIRST = 1 << 20  # scores that are kept before the bins are laid out for them
_NARROW = 3e-4  # of the scores above a bin: so few in it need no logarithm
_CHUNK = 1 << 15  # bins that are evaluated together

Numbers = NDArray[np.float64]
Scores = NDArray[np.float32]
Whole = NDArray[np.int64]
_CFLOW = PIXEL_METRICS[4]


class StreamedPixelMetrics:
    """The pixel metrics of one category, from pictures that come one by one, in some 50 MB for any number of them.

    Scores are compared as float32, so wider maps are rounded to it first, which the bounds take into account. `compute`
    may be called at any time and more pictures added after it. The values depend on the order of the pictures only
    within the bounds. `budget` is the number of bins, `limits` are false-positive rates up to which AUPRO is wanted too
    and `names` those of all metrics.
    """

    def __init__(self, budget: int = BUDGET, *, limits: tuple[float, ...] = ()) -> None:
        self._limits = {"pixel_AUPRO": FPR_LIMIT, **{aupro_name(limit): limit for limit in limits}}
        self.names = (*PIXEL_METRICS, *map(aupro_name, limits))
        self._bins = ScoreBins(budget)
        self._first: list[tuple[Scores, Scores, Whole, Whole, Numbers]] = []  # what is to be counted of the first maps
        self._regions = 0
        self._rounded = False
        self._range: tuple[Any, Any] | None = None

    def add(self, scores: Any, runs: Runs, ends: Ends | None = None) -> None:
        """Take a map (H, W) and the labelled regions of its mask (R, 3) at the same size; higher is more anomalous.

        `ends` are the lowest and the highest score, of who knows them already.
        Raises NonFiniteScores for NaN or infinity and ValueError for a map or runs of the wrong form.
        """
        flat, low, high = flat_map(scores, ends)
        regions = Regions.of(runs, flat.size)
        self._extend(low, high)
        self._rounded |= flat.dtype != np.float32
        with np.errstate(over="ignore"):
            flat, narrow = flat.astype(np.float32, copy=False), np.array([low, high]).astype(np.float32)
        self._regions += regions.areas.size
        shares = (1 / regions.areas)[regions.numbers]
        self._take(flat, narrow, regions.starts, regions.lengths, shares)

    def merge(self, other: StreamedPixelMetrics) -> None:
        """Take all pictures of another accumulator, as if they had been added here; the other one stays as it is.

        Counts in the same bins add up exactly, others are added together in the finest bins that both have.
        """
        self._regions += other._regions
        self._rounded |= other._rounded
        if other._range is not None:
            self._extend(*other._range)
        if other._bins.empty:
            for kept in tuple(other._first):
                self._take(*kept)
        else:
            self._count()
            self._bins.merge(other._bins)

    def compute(self) -> Measured:
        """The metrics of the exact form, each with a bound of its distance from the exact value.

        Undefined in the same cases. The 200-threshold AUPRO has the bound infinity, and no value, where the bins do not
        say which of its thresholds have a false-positive rate below the limit.
        """
        if not self._regions:
            return Measured({}, dict.fromkeys(self.names, "no anomalous pixel"), "streamed")
        self._count()
        tied = self._bins.sort() & (not self._rounded)
        normal = int(self._bins.every.sum(dtype=np.int64) - self._bins.hits.sum(dtype=np.int64))
        if not normal or self._range is None:
            return Measured({}, dict.fromkeys(self.names, "no normal pixel"), "streamed")
        intervals = _ranking(self._bins, tied, normal, self._regions, self._limits)
        undefined: dict[str, str] = {}
        cflow = self._cflow(normal, *self._range)
        if isinstance(cflow, str):
            undefined[_CFLOW] = cflow
        else:
            intervals[_CFLOW] = cflow
        values = {name: found.value for name, found in intervals.items() if found.bound < np.inf}
        unsure = {name: "the bins do not tell, the exact form does" for name in intervals if name not in values}
        bounds = {name: found.bound for name, found in intervals.items()}
        return Measured(values, undefined | unsure, "streamed", bounds)

    def _take(self, flat: Scores, ends: Scores, starts: Whole, lengths: Whole, shares: Numbers) -> None:
        if not self._bins.empty:
            self._bins.count(flat, ends, starts, lengths, shares)
            return
        self._first.append((flat.copy(), ends, starts, lengths, shares))
        if sum(kept.size for kept, *_ in self._first) >= _FIRST:
            self._count()

    def _extend(self, low: Any, high: Any) -> None:
        self._range = (low, high) if self._range is None else (min(low, self._range[0]), max(high, self._range[1]))

    def _count(self) -> None:
        """Count the first maps, which were kept until there were enough of them to lay out the bins."""
        if self._first:
            scores = np.concatenate([flat for flat, *_ in self._first])
            self._bins.admit(scores, np.array([scores.min(), scores.max()]))
            for kept in self._first:
                self._bins.count(*kept)
            self._first.clear()

    def _cflow(self, normal: int, low: Any, high: Any) -> _Interval | str:
        """The 200-threshold AUPRO; or why it has none."""
        dtype = np.result_type(low, high)
        thresholds = thresholds_of(dtype.type(low), dtype.type(high))
        if isinstance(thresholds, str):
            return thresholds
        with np.errstate(over="ignore"):
            places = np.stack(self._bins.above(thresholds.astype(np.float32), rounded=self._rounded))
        hits, every, shares = (
            _from(counts, places) for counts in (self._bins.hits, self._bins.every, self._bins.shares)
        )
        rate_most, rate_least = (every - hits) / normal
        share_most, share_least = shares / self._regions
        kept = rate_most < FPR_LIMIT
        most, least = rate_most[kept], rate_least[kept]
        if kept.sum() < 2 or most[0] == least[-1]:
            return _UNKNOWN if (rate_least < FPR_LIMIT).sum() > max(kept.sum(), 1) else TOO_FEW_RATES
        if (kept != (rate_least < FPR_LIMIT)).any() or (least[:-1] < most[1:]).any() or least[0] == most[-1]:
            return _UNKNOWN
        # As overlap and rate fall together from threshold to threshold, the area of the stretched curve grows with each
        # overlap, with the first rate and with the last, and falls with each rate between them.
        ends = np.isin(np.arange(most.size), (0, most.size - 1))
        even = area_of((most + least) / 2, (share_most[kept] + share_least[kept]) / 2)
        low = area_of(np.where(ends, least, most), share_least[kept])
        high = area_of(np.where(ends, most, least), share_most[kept])
        if isinstance(even, str) or isinstance(low, str) or isinstance(high, str):
            return _UNKNOWN
        return _Interval.around(low, even, high)


@dataclass(frozen=True, slots=True)
class _Interval:
    """A value, and how far the exact one is from it at most."""

    value: float
    bound: float

    @classmethod
    def around(cls, low: float, value: float, high: float) -> _Interval:
        """The interval from `low` to `high`, and the value brought into it."""
        value = min(max(value, low), high)
        return cls(value, max(value - low, high - value) + _ROUNDING)


_UNKNOWN = _Interval(np.nan, np.inf)


def _ranking(
    bins: ScoreBins, tied: NDArray[np.bool_], normal: int, regions: int, limits: Mapping[str, float]
) -> dict[str, _Interval]:
    """AUROC, AP, F1-max and AUPRO from sorted bins; `tied` says of each that is in use that its scores are equal.

    `limits` are the false-positive rates up to which AUPRO is integrated, by its names.
    """
    anomalous = int(bins.hits.sum(dtype=np.int64))
    lost, lost_slack, f1, f1_high = 0.0, 0.0, 0.0, 0.0
    precision, areas = np.zeros(3), np.zeros((len(limits), 3))  # at least, evenly mixed, at most
    hits_above = alarms_above = 0
    for stop in range(tied.size, 0, -_CHUNK):
        chunk = slice(max(0, stop - _CHUNK), stop)
        every = np.cumsum(bins.every[chunk][::-1], dtype=np.int64)
        at = np.flatnonzero(bins.hits[chunk][::-1])  # the other bins only shift these
        new_hits = bins.hits[chunk][::-1][at].astype(np.int64)
        hits = hits_above + np.cumsum(new_hits)
        new_alarms = bins.every[chunk][::-1][at].astype(np.int64) - new_hits
        alarms = alarms_above + every[at] - (hits - hits_above)
        step = _Step(
            hits=hits.astype(float),
            alarms=alarms.astype(float),
            new_hits=new_hits.astype(float),
            new_alarms=new_alarms.astype(float),
            shares=bins.shares[chunk][::-1][at],
            tied=tied[chunk][::-1][at],
        )
        lost += float(step.new_hits @ (step.alarms + step.alarms - step.new_alarms))
        lost_slack += float((step.new_hits * step.new_alarms)[~step.tied].sum())
        precision += step.precision()
        areas += [step.area(normal, limit) for limit in limits.values()]
        best, most = step.f1(anomalous)
        f1, f1_high = max(f1, best), max(f1_high, most)
        alarms_above += int(every[-1]) - int(new_hits.sum())
        hits_above += int(new_hits.sum())
    pairs = 2 * anomalous * normal
    return {
        "pixel_AUROC": _Interval(1 - lost / pairs, lost_slack / pairs + _ROUNDING),
        "pixel_AP": _Interval.around(*(precision / anomalous).tolist()),
        "pixel_F1max": _Interval.around(f1, f1, f1_high),  # of a threshold that exists
        **{
            name: _Interval.around(*(area / (regions * limit)).tolist())
            for area, (name, limit) in zip(areas, limits.items(), strict=True)
        },
    }


@dataclass(frozen=True, slots=True)
class _Step:
    """Bins that hold anomalous scores (B,), by falling score.

    `hits` and `alarms` count the anomalous and the normal scores in the bin and above it, `new_hits` and `new_alarms`
    those in it; `shares` is what its anomalous scores weigh, `tied` says that all its scores are equal.
    """

    hits: Numbers
    alarms: Numbers
    new_hits: Numbers
    new_alarms: Numbers
    shares: Numbers
    tied: NDArray[np.bool_]

    def precision(self) -> Numbers:
        """The sum of precisions at the anomalous scores: at least, evenly mixed, at most (3,)."""
        hits_above, alarms_above = self.hits - self.new_hits, self.alarms - self.new_alarms
        at_end = self.hits / (self.hits + self.alarms)
        # At least: all normal ones come first. The precision then rises along a curve that bends down, so the sum over
        # its steps is above the chord and above the integral.
        first = (hits_above + 1) / (hits_above + 1 + self.alarms)
        chord = self.new_hits * (first + at_end) / 2
        start = np.maximum(hits_above + self.alarms, 1)
        low = np.maximum(chord, self.new_hits - self.alarms * _log1p_at_least(self.new_hits / start))
        # At most: all normal ones come last, and the anomalous ones are tied.
        high = self.new_hits * self.hits / (self.hits + alarms_above)
        even = _mixed(hits_above, alarms_above, self.new_hits, self.new_alarms)
        tied = self.new_hits * at_end
        low, high = np.where(self.tied, tied, low), np.where(self.tied, tied, high)
        return np.array([low.sum(), np.clip(even, low, high).sum(), high.sum()])

    def f1(self, anomalous: int) -> tuple[float, float]:
        """The best F1 at the end of a bin, and the best that a threshold inside one could have."""
        if not self.hits.size:
            return 0.0, 0.0
        at_end = 2 * self.hits / (self.hits + self.alarms + anomalous)
        inside = 2 * self.hits / (self.hits + self.alarms - self.new_alarms + anomalous)
        return float(at_end.max()), float(np.where(self.tied, at_end, inside).max())

    def area(self, normal: int, limit: float) -> Numbers:
        """The area below the overlap up to a limit, times the regions: at least, evenly mixed, at most (3,)."""
        start, stop = (self.alarms - self.new_alarms) / normal, self.alarms / normal
        return areas_of_bins(start, stop, self.shares, self.tied, limit)


def _mixed(hits_above: Numbers, alarms_above: Numbers, new_hits: Numbers, new_alarms: Numbers) -> Numbers:
    """The sum of precisions at the new hits of each bin (B,), evenly mixed with its normal scores."""
    # The integral of (a + t) / (b + m t), half a step in, over the new hits; in the middle, off by 1e-8, where few are.
    a, b = hits_above + 0.5, hits_above + 0.5 + alarms_above
    new = new_hits + new_alarms
    even: Numbers = new_hits * (a + new_hits / 2) / (b + new / 2)
    wide = np.flatnonzero(new > _NARROW * b)
    a, b, hits = a[wide], b[wide], new_hits[wide]
    each = new[wide] / hits
    even[wide] = hits / each + (a - b / each) / each * np.log1p(new[wide] / b)
    return even


def _log1p_at_least(x: Numbers) -> Numbers:
    """The logarithm of 1 + x, or up to x**4 / 4 more, which is below 1e-14 of where it is taken so."""
    logarithm: Numbers = x * (1 - x * (0.5 - x / 3))
    wide = np.flatnonzero(x > _NARROW)
    logarithm[wide] = np.log1p(x[wide])
    return logarithm


def _from(counts: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """The sums (2, T) of the counts from each place (2, T) on."""
    starts = np.unique(np.append(places, 0))
    starts = starts[starts < counts.size]
    sums = np.add.reduceat(counts, starts, dtype=counts.dtype)
    sums = np.cumsum(sums[::-1].astype(np.result_type(counts.dtype, np.int64)))[::-1]
    return np.append(sums, 0)[np.searchsorted(starts, places)]
