"""Counts of float32 scores in bins that follow the order-preserving bits of a float, finest where few rank higher.

The bits of a float32, with the negative ones turned round, are whole numbers in the order of the scores. Their highest
16 bits name a cell, a 128th of an octave. Each cell is split into 2**level bins of equal width, down to one bin for
each float32. Levels follow the rank: a cell whose scores are a large part of all scores at or above it has many bins,
because there a false alarm moves precision most. Levels only ever fall, by adding neighbouring bins together, so each
bin is a range of scores whose counts are complete.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics.pictures import pixels_of

__all__ = ["BUDGET", "ScoreBins", "compiled"]

BUDGET = 1 << 20  # bins at most; 16 bytes each
_WITHIN = 16  # bits of a key below those that name its cell
_CELLS = 1 << (32 - _WITHIN)
_ABSENT = -1  # the level, the offset and the entry of a cell without bins
_SHIFT_BITS = 5  # of an entry: it holds a cell's offset and by how much its keys are shifted
_TILT = 0.1  # of the levels towards low ranks: for precision alone it would be 0, for the areas under the curves 1
_LOWER_HALF = 2  # levels that the lower half of the scores does without: only AUROC looks there
_SLICE = 1 << 15  # scores whose intermediate results stay in the processor's cache
_QUEUE = 1 << 20  # scores that numpy counts together

Bits = NDArray[np.uint32]
Counts = NDArray[Any]


class ScoreBins:
    """How many scores, how many anomalous ones, and what share of the regions each bin holds.

    `every` and `hits` (N,) are counts, `shares` (N,) the sums of what each anomalous score weighs; after `sort` the
    bins rise with the score. N is `budget`, or twice the number of cells if that is more.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = max(budget, 2 * _CELLS)
        self.every: Counts = np.zeros(self.budget, np.uint32)
        self.hits: Counts = np.zeros(self.budget, np.uint32)
        self.shares = np.zeros(self.budget)
        self._total = 0
        self._ones = 0  # the bits that some score has
        self._levels = np.full(_CELLS, _ABSENT)
        self._offsets = np.full(_CELLS, _ABSENT, np.int32)
        self._entries = np.full(_CELLS, _ABSENT, np.int32)
        self._used = 0  # bins
        self._eighths = 0  # the fineness that was chosen
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
        if ends[0] <= 0 and bits.view(np.int32).min() < 0:
            keys, entries = _keys(bits), self._entries
        else:
            keys, entries = bits, self._entries[_CELLS // 2 :]  # the bits are the upper half of the keys
        if kernels := compiled():
            count, weigh = kernels
            count(keys, entries, self.every)
            weigh(keys, starts, lengths, shares, entries, self.hits, self.shares)
            return
        self._queue.append(_index(keys, entries))
        if sum(index.size for index in self._queue) >= _QUEUE:
            self._empty_queue()
        index = _index(keys[pixels_of(starts, lengths)], entries)
        np.add.at(self.hits, index, 1)
        np.add.at(self.shares, index, np.repeat(shares, lengths))

    def admit(self, scores: NDArray[np.float32], ends: NDArray[np.float32]) -> None:
        """Make bins for those of the scores (N,) that are lower or higher than all before; `ends` (2,) are theirs."""
        lowest, highest = _keys(ends.view(np.uint32)) >> _WITHIN
        if self._levels[lowest] != _ABSENT and self._levels[highest] != _ABSENT:
            return
        seen = np.bincount(_keys(scores.view(np.uint32)) >> _WITHIN, minlength=_CELLS)
        if self._used:
            span = _span(seen + (self._levels != _ABSENT))
            new = self._levels[span] == _ABSENT
            levels = _levels(_ranks(seen[span])[new], self._eighths, _WITHIN)
            sizes = 1 << levels
            if self._used + sizes.sum() <= self.budget:
                cells = np.flatnonzero(span)[new]
                self._levels[cells] = levels
                self._offsets[cells] = self._used + np.cumsum(sizes) - sizes
                self._used += int(sizes.sum())
                self._write_entries()
                return
        self._choose_levels(self._population() + seen)

    @property
    def empty(self) -> bool:
        """Whether nothing was counted yet."""
        return not self._total

    def sort(self) -> NDArray[np.bool_]:
        """Put the bins in the order of their scores, and say of each that is in use whether all its scores are equal.

        Those in use are the first. That scores are equal is known where a bin is one float32 wide, and in wider ones if
        the last bits of all scores are zero, as those of half floats and of whole numbers are.
        """
        self._empty_queue()
        self._regroup(self._levels)
        levels = self._levels[self._levels != _ABSENT]
        return np.repeat(levels >= _WITHIN - self._zeros, 1 << levels)

    @property
    def _zeros(self) -> int:
        """The last bits of a score that are zero in all."""
        return (self._ones & -self._ones).bit_length() - 1 if self._ones else _WITHIN

    def above(self, scores: NDArray[np.float32], *, rounded: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first bin that may hold a score above each of these (T,), and the first that holds no other.

        The two are equal where that is known. The bins are sorted. `rounded` says that scores were rounded to float32,
        so that those that are equal now need not have been.
        """
        keys = _keys(scores.view(np.uint32)).astype(np.int64)
        cells, inner = keys >> _WITHIN, keys & ((1 << _WITHIN) - 1)
        there = self._levels[cells] != _ABSENT
        shifts = _WITHIN - self._levels[cells] * there
        present = np.flatnonzero(self._levels != _ABSENT)
        after = np.append(self._offsets[present], self._used)[np.searchsorted(present, cells)]
        own = np.where(there, self._offsets[cells] + (inner >> shifts), after)
        stop = own + there
        last = ((inner + 1) & ((1 << shifts) - 1) == 0) | (shifts <= self._zeros)  # the bin holds nothing above it
        return np.where(last & (not rounded), stop, own), stop

    def _choose_levels(self, population: NDArray[np.int64]) -> None:
        """Give a level to each cell from the lowest to the highest populated, none above what it has.

        The levels are those of the finest division that leaves some room for more cells.
        """
        span = _span(population)
        ranks = _ranks(population[span])
        most = np.where(self._levels[span] == _ABSENT, _WITHIN, self._levels[span])
        room = self.budget * 3 // 4
        fits = bisect_right(range(8 * 64), room, key=lambda eighths: int((1 << _levels(ranks, eighths, most)).sum()))
        self._eighths = max(fits - 1, 0)
        levels = np.full(_CELLS, _ABSENT)
        levels[span] = _levels(ranks, self._eighths, most)
        self._empty_queue()
        self._regroup(levels)

    def _population(self) -> NDArray[np.int64]:
        """The scores counted in each cell."""
        self._empty_queue()
        counted = np.zeros(_CELLS, np.int64)
        cells = np.argsort(self._offsets)[np.count_nonzero(self._levels == _ABSENT) :]
        if cells.size:
            counted[cells] = np.add.reduceat(self.every[: self._used], self._offsets[cells], dtype=self.every.dtype)
        return counted

    def _regroup(self, levels: NDArray[np.int64]) -> None:
        """Add bins together, make room for new cells and sort all, so that each cell has its new level."""
        present = np.flatnonzero(levels != _ABSENT)
        sizes = (1 << levels[present]).astype(np.int32)
        offsets = np.full(_CELLS, _ABSENT, np.int32)
        offsets[present] = np.cumsum(sizes, dtype=np.int32) - sizes
        if not (np.array_equal(offsets, self._offsets) and np.array_equal(levels, self._levels)):
            own = np.argsort(self._offsets, kind="stable")[np.count_nonzero(self._offsets == _ABSENT) :]
            sizes = (1 << levels[own]).astype(np.int32)
            joined = (1 << (self._levels[own] - levels[own])).astype(np.int32)
            within = np.arange(sizes.sum(), dtype=np.int32)
            within -= np.repeat(np.cumsum(sizes, dtype=np.int32) - sizes, sizes)  # the number of a bin in its cell
            starts = np.repeat(self._offsets[own], sizes) + within * np.repeat(joined, sizes)
            within += np.repeat(offsets[own], sizes)
            self.every = _grouped(self.every[: self._used], starts, within, self.budget)
            self.hits = _grouped(self.hits[: self._used], starts, within, self.budget)
            self.shares = _grouped(self.shares[: self._used], starts, within, self.budget)
            self._offsets = offsets
            self._used = int((1 << levels[present]).sum())
        self._levels = levels.copy()
        self._write_entries()

    def _write_entries(self) -> None:
        """Point each cell at its bins."""
        entries = (self._offsets << _SHIFT_BITS) | (_WITHIN - self._levels)
        self._entries = np.where(self._levels == _ABSENT, _ABSENT, entries).astype(np.int32)

    def _empty_queue(self) -> None:
        """Count what is queued."""
        if self._queue:
            found = np.bincount(np.concatenate(self._queue), minlength=self.budget)
            np.add(self.every, found, out=self.every, casting="unsafe")
            self._queue.clear()

    def _widen(self) -> None:
        """Make room for more than 2**32 scores, all of which may be in one bin."""
        self.every, self.hits = self.every.astype(np.int64, copy=False), self.hits.astype(np.int64, copy=False)


def _span(population: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which cells are from the lowest to the highest populated one."""
    populated = np.flatnonzero(population)
    cells = np.arange(population.size)
    span: NDArray[np.bool_] = (cells >= populated[0]) & (cells <= populated[-1])
    return span


def _ranks(population: NDArray[np.int64]) -> NDArray[np.float64]:
    """How fine each cell is to be, as a level up to a constant.

    That is the binary logarithm of its part of the scores in it and above it, a little less the higher these rank. An
    empty cell counts as one score.
    """
    population = np.maximum(population, 1)
    above = np.cumsum(population[::-1])[::-1]
    ranks: NDArray[np.float64] = np.log2(population / above) + _TILT * np.log2(above / above[0])
    ranks[above > above[0] / 2] -= _LOWER_HALF
    return ranks


def _levels(ranks: NDArray[np.float64], eighths: int, most: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """The level for each rank, at a fineness in eighths of a level."""
    return np.clip(np.floor(ranks + eighths / 8), 0, most).astype(np.int64)


def _grouped(counts: Counts, starts: NDArray[np.int32], places: NDArray[np.int32], size: int) -> Counts:
    """The sums of the counts from each start to the next, put in their places among zeros."""
    grouped = np.zeros(size, counts.dtype)
    if starts.size:
        grouped[places] = counts if starts.size == counts.size else np.add.reduceat(counts, starts, dtype=counts.dtype)
    return grouped


def _keys(bits: Bits) -> Bits:
    """Whole numbers in the order of the floats that these bits are; 0.0 and -0.0 are one."""
    signs = (bits.view(np.int32) >> 31).view(np.uint32)
    return (bits ^ (signs | np.uint32(1 << 31))) - signs


def _index(keys: Bits, entries: NDArray[np.int32]) -> NDArray[np.intp]:
    """The bin of each key, all of whose cells have bins."""
    index = np.empty(keys.size, np.intp)
    for start in range(0, keys.size, _SLICE):
        part = keys[start : start + _SLICE]
        entry = entries.take(part >> _WITHIN)
        inner = part & np.uint32((1 << _WITHIN) - 1)
        inner >>= (entry & ((1 << _SHIFT_BITS) - 1)).view(np.uint32)
        entry >>= _SHIFT_BITS
        np.add(entry, inner.view(np.int32), out=index[start : start + _SLICE])
    return index


@cache
def compiled() -> tuple[Callable[..., None], Callable[..., None]] | None:
    """The two loops over scores as machine code, several times faster, where numba is installed."""
    try:
        numba: Any = import_module("numba")
    except ImportError:
        return None
    machine_code: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(nogil=True)
    u4 = np.uint32  # numba widens what it adds up to 64 bits unless told

    @machine_code
    def place(key: Any, entries: Any) -> Any:
        entry = u4(entries[key >> u4(_WITHIN)])
        inner = u4(key & u4((1 << _WITHIN) - 1)) >> u4(entry & u4((1 << _SHIFT_BITS) - 1))
        return u4((entry >> u4(_SHIFT_BITS)) + inner)

    @machine_code
    def count(keys: Any, entries: Any, counts: Any) -> None:
        for key in keys:
            counts[place(key, entries)] += 1

    @machine_code
    def weigh(keys: Any, starts: Any, lengths: Any, weights: Any, entries: Any, counts: Any, sums: Any) -> None:
        for run in range(starts.size):
            for pixel in range(starts[run], starts[run] + lengths[run]):
                at = place(keys[pixel], entries)
                counts[at] += 1
                sums[at] += weights[run]

    return count, weigh
