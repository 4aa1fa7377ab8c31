"""What the pixels of each picture count between the same scores: any draw of pictures is then measured by sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics.pictures import Regions, flat_map, pixels_of
from stackclip.ops.regions import Runs

__all__ = ["Numbers", "PixelCounter", "PixelCounts"]

_KEPT = 1 << 25  # pixels of maps that a counter keeps as they are: 128 MB, 125 maps of 518 x 518
_STEPS = 2048  # of the score by rank, and as many by its logarithm, between which pixels are counted
_SAMPLE = 1 << 22  # scores that these steps are chosen from

Numbers = NDArray[np.float64]
Counts = NDArray[np.float32]


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
