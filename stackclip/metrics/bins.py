"""Counts of float32 scores in bins that follow the order-preserving bits of a float, finest where few rank higher.

The bins are those of `Cells`. Their levels only ever fall, by adding neighbouring bins together, so each bin is a range
of scores whose counts are complete.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics.cells import Cells, bins_of, population_of
from stackclip.metrics.loops import compiled
from stackclip.metrics.pictures import pixels_of

__all__ = ["BUDGET", "ScoreBins", "areas_of_bins"]

BUDGET = 1 << 20  # bins at most; 16 bytes each
_QUEUE = 1 << 20  # scores that numpy counts together
_BITS = 32  # of a score

Counts = NDArray[Any]
Numbers = NDArray[np.float64]


class ScoreBins:
    """How many scores, how many anomalous ones, and what share of the regions each bin holds.

    `every` and `hits` (N,) are counts, `shares` (N,) the sums of what each anomalous score weighs; after `sort` the
    bins rise with the score. N is `budget`, or twice the number of cells if that is more.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._cells = Cells()
        self.budget = max(budget, 2 * self._cells.levels.size)
        self.every: Counts = np.zeros(self.budget, np.uint32)
        self.hits: Counts = np.zeros(self.budget, np.uint32)
        self.shares = np.zeros(self.budget)
        self._total = 0
        self._ones = 0  # the bits that some score has
        self._queue: list[NDArray[np.intp]] = []  # the bins of scores that are not counted yet, without numba

    def count(
        self,
        scores: NDArray[np.float32],
        ends: NDArray[np.float32],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        shares: NDArray[np.float64],
    ) -> None:
        """Count scores (N,), at least one and none of them NaN, and the anomalous ones among them.

        `ends` (2,) are the lowest and the highest. The anomalous ones are in runs that begin at `starts` (R,) and have
        `lengths` (R,); each of a run weighs its `shares` (R,).
        """
        self._total += scores.size
        if self._total > np.iinfo(np.uint32).max:
            self._widen()
        self.admit(scores, ends)
        bits = scores.view(np.uint32)
        if not self._ones & 1:
            self._ones |= int(np.bitwise_or.reduce(bits))
        keys, entries = self._cells.keyed(bits, negative=bool(ends[0] <= 0 and bits.view(np.int32).min() < 0))
        if kernels := compiled():
            count, weigh = kernels
            count(keys, entries, self.every)
            weigh(keys, starts, lengths, shares, entries, self.hits, self.shares)
            return
        self._queue.append(bins_of(keys, entries))
        if sum(index.size for index in self._queue) >= _QUEUE:
            self._empty_queue()
        index = bins_of(keys[pixels_of(starts, lengths)], entries)
        np.add.at(self.hits, index, 1)
        np.add.at(self.shares, index, np.repeat(shares, lengths))

    def admit(self, scores: NDArray[np.float32], ends: NDArray[np.float32]) -> None:
        """Make bins for those of the scores (N,) that are lower or higher than all before; `ends` (2,) are theirs."""
        if self._cells.have(ends):
            return
        seen = population_of(scores)
        if not self._cells.add(seen, budget=self.budget):
            self._lay_out(self._cells.divided(self._population() + seen, budget=self.budget))

    def merge(self, other: ScoreBins) -> None:
        """Add what another has counted, which stays as it is; bins that only one of the two divides are added up."""
        if other.empty:
            return
        self._total += other._total
        if self._total > np.iinfo(np.uint32).max:
            self._widen()
        self._ones |= other._ones
        if not self._cells.same(other._cells):
            population = self._population() + other._population()
            self._lay_out(self._cells.common(other._cells).divided(population, budget=self.budget))
        every, hits, shares = other._counts_in(self._cells)
        self.every[: every.size] += every.astype(self.every.dtype, copy=False)
        self.hits[: hits.size] += hits.astype(self.hits.dtype, copy=False)
        self.shares[: shares.size] += shares

    @property
    def empty(self) -> bool:
        """Whether nothing was counted yet."""
        return not self._total

    def sort(self) -> NDArray[np.bool_]:
        """Put the bins in the order of their scores, and say of each that is in use whether all its scores are equal.

        Those in use are the first. That scores are equal is known where a bin is one float32 wide, and in wider ones if
        the last bits of all scores are zero, as those of half floats and of whole numbers are.
        """
        self._lay_out(self._cells.in_order())
        return self._cells.tied(self._zeros)

    def above(self, scores: NDArray[np.float32], *, rounded: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first bin that may hold a score above each of these (T,), and the first that holds no other.

        The two are equal where that is known. The bins are sorted. `rounded` says that scores were rounded to float32,
        so that those that are equal now need not have been.
        """
        return self._cells.above(scores, zeros=self._zeros, rounded=rounded)

    @property
    def _zeros(self) -> int:
        """The last bits of a score that are zero in all."""
        return (self._ones & -self._ones).bit_length() - 1 if self._ones else _BITS

    def _population(self) -> NDArray[np.int64]:
        """The scores counted in each cell."""
        self._empty_queue()
        counted = np.zeros(self._cells.levels.size, np.int64)
        cells, used = self._cells.laid_out, self._cells.used
        if cells.size:
            counted[cells] = np.add.reduceat(self.every[:used], self._cells.offsets[cells], dtype=self.every.dtype)
        return counted

    def _lay_out(self, cells: Cells) -> None:
        """Add bins together, make room for new cells and sort all, so that each cell has its new bins."""
        self.every, self.hits, self.shares = self._counts_in(cells)
        self._cells = cells

    def _counts_in(self, cells: Cells) -> tuple[Counts, Counts, Counts]:
        """The counts, in the bins of other cells, none of which has more of them."""
        self._empty_queue()
        counts = self.every, self.hits, self.shares
        if self._cells.same(cells):
            return counts
        starts, places = self._cells.moves(cells)
        used = self._cells.used
        every, hits, shares = (_grouped(each[:used], starts, places, self.budget) for each in counts)
        return every, hits, shares

    def _empty_queue(self) -> None:
        """Count what is queued."""
        if self._queue:
            counts = np.bincount(np.concatenate(self._queue), minlength=self.budget)
            np.add(self.every, counts, out=self.every, casting="unsafe")
            self._queue.clear()

    def _widen(self) -> None:
        """Make room for more than 2**32 scores, all of which may be in one bin."""
        self.every, self.hits = self.every.astype(np.int64, copy=False), self.hits.astype(np.int64, copy=False)


def _grouped(counts: Counts, starts: NDArray[np.int32], places: NDArray[np.int32], size: int) -> Counts:
    """The sums of the counts from each start to the next, put in their places among zeros."""
    grouped = np.zeros(size, counts.dtype)
    if starts.size:
        grouped[places] = counts if starts.size == counts.size else np.add.reduceat(counts, starts, dtype=counts.dtype)
    return grouped


def areas_of_bins(start: Numbers, stop: Numbers, shares: Numbers, tied: NDArray[np.bool_], limit: float) -> Numbers:
    """The area below the overlap up to a limit of the false-positive rate: at least, evenly mixed, at most (3,).

    Each of the bins (B,) takes the rate from `start` to `stop` and adds its share; `tied` are those of one score.
    """
    x, x_next = np.minimum(start, limit), np.minimum(stop, limit)
    width, beyond = x_next - x, limit - x_next
    # A share that comes somewhere inside the bin counts from there on up to the limit.
    even = width * (width / np.where(width > 0, stop - start, 1)) / 2
    low, high = np.where(tied, even, 0), np.where(tied, even, width)
    return np.array([shares @ (beyond + extra) for extra in (low, even, high)])
