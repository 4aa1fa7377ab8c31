"""How far a metric may be off because other pictures might have been taken: the bootstrap over pictures.

Pictures are drawn with replacement, and each draw is measured from what was counted of each picture once: a draw is a
row of whole numbers, how often each picture is in it, and the counts of all draws are one matrix product. Efron and
Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics import FPR_LIMIT, IMAGE_METRICS, PIXEL_METRICS
from stackclip.metrics.pictures import Regions, flat_map, pixels_of
from stackclip.ops.regions import Runs
from stackclip.types import ANOMALOUS

__all__ = [
    "DRAWS",
    "Difference",
    "Evidence",
    "Interval",
    "PixelCounter",
    "PixelCounts",
    "bootstrap_metrics",
    "difference_of",
    "draw_metrics",
    "interval_of",
    "paired_differences",
]

DRAWS = 1000
LEVEL = 0.95
_KEPT = 1 << 25  # pixels of maps that a counter keeps as they are: 128 MB, 125 maps of 518 x 518
_STEPS = 2048  # of the score by rank, and as many by its logarithm, between which pixels are counted
_SAMPLE = 1 << 22  # scores that these steps are chosen from
_TOGETHER = 16  # draws that are measured at a time, in the cache of a processor

Numbers = NDArray[np.float64]
Counts = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a metric lies in the middle part of the draws, of which so many had it at all."""

    low: float
    high: float
    draws: int


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the first method is better, on the same pictures.

    `low` and `high` are those of the middle part of the draws. `p` is the two-sided bootstrap probability of a
    difference of the other sign; no draw can make it less than 2 / (draws + 1).
    """

    value: float
    low: float
    high: float
    p: float
    draws: int


@dataclass(frozen=True)
class PixelCounts:
    """What the maps of each picture of a category count between the same scores, from the highest down.

    `normal` and `anomalous` pixels and `shares` of regions are (B, K), `regions` (B,) counts them; `tied` (K,) says
    where all that is counted has one score. `steps` (K,) are the scores, each the lowest that its counts are of; K is
    at most some thousands: 100 pictures take 5 MB.
    """

    steps: NDArray[Any]
    normal: Counts
    anomalous: Counts
    shares: Counts
    regions: Counts
    tied: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.regions)

    @classmethod
    def of(cls, maps: Sequence[Any], runs: Sequence[Runs]) -> PixelCounts:
        """Count maps (H, W), higher being more anomalous, and the labelled regions (R, 3) of the mask of each.

        The steps are the scores of these maps where they are few, else some of them: half evenly by rank, half by the
        logarithm of the rank.
        Raises NonFiniteScores for NaN or infinity and ValueError for a map or runs of the wrong form.
        """
        flats = [flat_map(scores)[0] for scores in maps]
        regions = [Regions.of(each, flat.size) for flat, each in zip(flats, runs, strict=True)]
        hits = [flat[pixels_of(each.starts, each.lengths)] for flat, each in zip(flats, regions, strict=True)]
        thin = max(1, sum(flat.size for flat in flats) // _SAMPLE)
        ends = [end for flat in flats for end in (flat.min(), flat.max())]
        steps = _steps(np.concatenate([*(flat[::thin] for flat in flats), *hits, ends]))
        every, anomalous, shares = np.zeros((3, len(flats), steps.size), np.float32)
        tied = np.ones(steps.size, bool)
        for row, (flat, hit, each) in enumerate(zip(flats, hits, regions, strict=True)):
            ordered = np.sort(flat)
            from_step = ordered.size - np.searchsorted(ordered, steps, side="left")
            every[row] = np.diff(from_step, prepend=0)
            tied &= every[row] == from_step - (ordered.size - np.searchsorted(ordered, steps, side="right"))
            order = np.argsort(hit)
            below = np.searchsorted(hit, steps, side="left", sorter=order)
            weights = np.append(0, np.cumsum(np.repeat((1 / each.areas)[each.numbers], each.lengths)[order]))
            anomalous[row] = np.diff(hit.size - below, prepend=0)
            shares[row] = np.diff(weights[-1] - weights[below], prepend=0)
        count = np.array([each.areas.size for each in regions], np.float32)
        return cls(steps, every - anomalous, anomalous, shares, count, tied)

    @classmethod
    def joined(cls, parts: Sequence[PixelCounts]) -> PixelCounts:
        """The counts of all pictures, at steps chosen by rank from those of the parts.

        What a part counts between two of its own steps is spread evenly over the scores between them.
        """
        if len(parts) == 1:
            return parts[0]
        steps = np.unique(np.concatenate([part.steps for part in parts]))[::-1]
        if steps.size > 2 * _STEPS:
            ranks = np.cumsum(sum(part._total(steps) for part in parts))
            places = np.searchsorted(ranks, _ranks(ranks[-1])).clip(max=steps.size - 1)
            steps = steps[np.unique(np.append(places, steps.size - 1))]
        moved = [part._at(steps) for part in parts]
        return cls(
            steps,
            normal=np.concatenate([part.normal for part in moved]),
            anomalous=np.concatenate([part.anomalous for part in moved]),
            shares=np.concatenate([part.shares for part in moved]),
            regions=np.concatenate([part.regions for part in moved]),
            tied=np.logical_and.reduce([part.tied for part in moved]),
        )

    def among(self, present: Sequence[bool]) -> PixelCounts:
        """These pictures as those that are `present` among others, of which nothing is counted."""
        there = np.array(present, bool)

        def spread(counts: NDArray[Any]) -> NDArray[Any]:
            rows = np.zeros((there.size, *counts.shape[1:]), counts.dtype)
            rows[there] = counts
            return rows

        normal, anomalous, shares = spread(self.normal), spread(self.anomalous), spread(self.shares)
        return PixelCounts(self.steps, normal, anomalous, shares, spread(self.regions), self.tied)

    def _total(self, steps: NDArray[Any]) -> Numbers:
        """How many pixels of all pictures there are at other steps (K,)."""
        counts = (self.normal, self.anomalous, self.shares, self.regions[:, None])
        normal, anomalous, shares, regions = (array.sum(0, keepdims=True) for array in counts)
        summed = PixelCounts(self.steps, normal, anomalous, shares, regions[0], self.tied)._at(steps)
        total: Numbers = (summed.normal + summed.anomalous)[0].astype(np.float64)
        return total

    def _at(self, steps: NDArray[Any]) -> PixelCounts:
        """The same pictures counted at other steps (K,), the last of which is not above any score."""
        ours, new = self.steps.astype(np.float64), steps.astype(np.float64)
        above = np.searchsorted(-ours, -new, side="left")  # our steps above each; the one after them may be divided
        own, higher = np.minimum(above, ours.size - 1), np.maximum(above - 1, 0)
        whole = ours[own] == new
        divided = ~whole & ~self.tied[own] & (ours[own] < new) & (new < ours[higher])
        width = np.where(divided, ours[higher] - ours[own], 1)
        part = np.where(divided, (ours[higher] - new) / width, whole)

        def at(counts: Counts) -> Counts:
            passed = np.cumsum(counts, axis=1, dtype=np.float64)
            from_step = np.where(above > 0, passed[:, higher], 0) + part * counts[:, own]
            moved: Counts = np.diff(from_step, axis=1, prepend=0).astype(np.float32)
            return moved

        normal, anomalous, shares = at(self.normal), at(self.anomalous), at(self.shares)
        of_one_score = (self.normal + self.anomalous)[:, own] * (whole & self.tied[own])
        return PixelCounts(steps, normal, anomalous, shares, self.regions, (normal + anomalous == of_one_score).all(0))


class PixelCounter:
    """Counts the maps of one category that come one by one, as `PixelCounts`.

    The first 2**25 pixels are kept as they are, and each time as many are there they are counted between steps of
    their own. So the memory is 128 MB for any number of pictures, and 50 kB for each. The steps of a category that
    fits are those of `PixelCounts.of`.
    """

    def __init__(self, keep: int = _KEPT) -> None:
        self._keep = keep
        self._maps: list[tuple[NDArray[Any], Runs]] = []
        self._parts: list[PixelCounts] = []

    def add(self, scores: NDArray[Any], runs: Runs) -> None:
        """Take a map (H, W), and the labelled regions (R, 3) of its mask."""
        self._maps.append((scores.copy(), runs))
        if sum(kept.size for kept, _ in self._maps) >= self._keep:
            self._count()

    def counts(self) -> PixelCounts:
        """What was counted so far, in the order of the maps. Raises what `PixelCounts.of` raises."""
        self._count()
        return PixelCounts.joined(self._parts)

    def _count(self) -> None:
        if self._maps:
            self._parts.append(PixelCounts.of(*zip(*self._maps, strict=True)))
            self._maps.clear()


def _steps(sample: NDArray[Any]) -> NDArray[Any]:
    """The scores (K,) between which pixels are counted, falling; the last is the lowest of the sample."""
    ordered = np.sort(sample)[::-1]
    distinct: NDArray[Any] = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    if distinct.size <= 2 * _STEPS:
        return distinct
    steps: NDArray[Any] = np.unique(ordered[np.round(_ranks(ordered.size)).astype(np.int64) - 1])[::-1]
    return steps


def _ranks(count: float) -> Numbers:
    """The ranks, from 1 to `count`, of the scores between which pixels are counted."""
    return np.concatenate([np.geomspace(1, count, _STEPS), np.linspace(1, count, _STEPS)])


@dataclass(frozen=True)
class Evidence:
    """What a method says of the pictures of a category: labels (B,), scores (B,) and counts of maps, as far as it does.

    Raises ValueError where these are not of the same pictures.
    """

    labels: NDArray[Any]
    scores: NDArray[Any] | None = None
    pixels: PixelCounts | None = None

    def __post_init__(self) -> None:
        counts = [len(self.labels), *([] if self.scores is None else [len(self.scores)])]
        counts += [] if self.pixels is None else [len(self.pixels)]
        if len(set(counts)) > 1 or not counts[0]:
            raise ValueError(f"labels, scores and maps are those of the same pictures, found {counts}")


def draw_metrics(evidence: Evidence, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Numbers]:
    """The metrics of each draw (D,), not a number where it lacks one class; a seed draws the same of equally many."""
    return _measure(evidence, _draw(len(evidence.labels), draws, seed))


def interval_of(values: Numbers, *, level: float = LEVEL) -> Interval | None:
    """The interval of a metric by its draws (D,): between the percentiles (1 - level) / 2 and (1 + level) / 2.

    Draws that lack the metric are left out; None if more than half do.
    """
    kept = values[np.isfinite(values)]
    return Interval(*_middle(kept, level), kept.size) if _enough(kept, values) else None


def difference_of(value: float, values: Numbers, *, level: float = LEVEL) -> Difference | None:
    """A difference by its draws (D,), as `interval_of`."""
    kept = values[np.isfinite(values)]
    if not _enough(kept, values) or not np.isfinite(value):
        return None
    tail = min(np.count_nonzero(kept <= 0), np.count_nonzero(kept >= 0))
    return Difference(value, *_middle(kept, level), min(1.0, 2 * (tail + 1) / (kept.size + 1)), kept.size)


def bootstrap_metrics(
    evidence: Evidence, *, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> dict[str, Interval]:
    """The interval of each metric between the percentiles (1 - level) / 2 and (1 + level) / 2 of the draws.

    A draw that lacks one class has no metrics and is left out; so is a metric that fewer than half of the draws have.
    """
    found = draw_metrics(evidence, draws=draws, seed=seed)
    intervals = {name: interval_of(values, level=level) for name, values in found.items()}
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
    ours, theirs = _measure(first, weights), _measure(second, weights)
    differences = {}
    for name in [name for name in ours if name in theirs]:
        value, *others = ours[name] - theirs[name]
        if found := difference_of(float(value), np.array(others), level=level):
            differences[name] = found
    return differences


def _enough(kept: Numbers, values: Numbers) -> bool:
    return 2 * kept.size >= values.size > 0


def _draw(count: int, draws: int, seed: int) -> Numbers:
    """How often each of `count` pictures is in each draw of as many with replacement: (draws, count)."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return drawn.astype(np.float64)


def _middle(values: Numbers, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _measure(evidence: Evidence, weights: Numbers) -> dict[str, Numbers]:
    """The metrics of each draw (D,), not a number where it has none; `weights` (D, B) say what is drawn."""
    found: dict[str, list[Numbers]] = {}
    for name, values in (*_image_metrics(evidence, weights), *_pixel_metrics(evidence, weights)):
        found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def _image_metrics(evidence: Evidence, weights: Numbers) -> Iterator[tuple[str, Numbers]]:
    if evidence.scores is None:
        return
    distinct, step = np.unique(-np.asarray(evidence.scores, np.float64), return_inverse=True)
    which = np.zeros((len(evidence.labels), distinct.size))
    which[np.arange(step.size), step] = 1
    anomalous = np.asarray(evidence.labels) == ANOMALOUS
    alarms, hits = weights @ (which * ~anomalous[:, None]), weights @ (which * anomalous[:, None])
    yield from zip(IMAGE_METRICS, _ranking(alarms, hits, np.ones(distinct.size, bool)), strict=True)


def _pixel_metrics(evidence: Evidence, weights: Numbers) -> Iterator[tuple[str, Numbers]]:
    if evidence.pixels is None:
        return
    counts = (evidence.pixels.normal, evidence.pixels.anomalous, evidence.pixels.shares, evidence.pixels.regions)
    normal, hits, shares, regions = (array.astype(np.float64) for array in counts)
    for start in range(0, len(weights), _TOGETHER):
        part = weights[start : start + _TOGETHER]
        alarms, found = part @ normal, part @ hits
        with np.errstate(invalid="ignore"):
            overlap = part @ shares / (part @ regions)[:, None]
        yield from zip(
            PIXEL_METRICS, (*_ranking(alarms, found, evidence.pixels.tied), _aupro(alarms, overlap)), strict=False
        )


def _ranking(alarms: Numbers, hits: Numbers, tied: NDArray[np.bool_]) -> tuple[Numbers, Numbers, Numbers]:
    """AUROC, AP and F1-max (D,) from the normal and anomalous counts at each step (D, K), by falling score.

    `tied` (K,) says which steps are one score; within the others the two are evenly mixed.
    """
    false, true = np.cumsum(alarms, axis=1), np.cumsum(hits, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = 1 - (hits * (false - alarms / 2)).sum(1) / (false[:, -1] * true[:, -1])
        precision = true / (true + false)
        if not tied.all():
            precision = np.where(tied, precision, _mixed_precision(alarms, hits, false - alarms, true - hits))
        ap = (np.where(hits > 0, precision, 0) * hits).sum(1) / true[:, -1]
        f1 = np.where(true > 0, 2 * true / (true + false + true[:, -1:]), 0).max(1)
    undefined = (false[:, -1] == 0) | (true[:, -1] == 0)
    auroc[undefined] = ap[undefined] = f1[undefined] = np.nan
    return auroc, ap, f1


def _mixed_precision(alarms: Numbers, hits: Numbers, false: Numbers, true: Numbers) -> Numbers:
    """The mean precision over the new hits of a step, below which there are `false` and `true` ones (D, K)."""
    each = 1 + alarms / hits
    a, b = true + 0.5, true + 0.5 + false
    mixed: Numbers = 1 / each + (a - b / each) / each * np.log1p(each * hits / b) / hits
    return mixed


def _aupro(alarms: Numbers, shares: Numbers) -> Numbers:
    """AUPRO (D,) from the normal counts and the shares of the mean overlap at each step (D, K), by falling score."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.cumsum(alarms, axis=1) / alarms.sum(1, keepdims=True)
        start = np.minimum(rates - alarms / alarms.sum(1, keepdims=True), FPR_LIMIT)
        stop = np.minimum(rates, FPR_LIMIT)
        width = stop - start
        # A share that comes evenly over a step counts, on the mean, from the middle on; of a step across the limit
        # only what comes before it.
        whole = alarms / alarms.sum(1, keepdims=True)
        before = np.where(width > 0, width / np.where(whole > 0, whole, 1), (start < FPR_LIMIT).astype(float))
        area = (shares * before * (FPR_LIMIT - stop + width / 2)).sum(1)
    return np.where(np.isfinite(area), area / FPR_LIMIT, np.nan)
