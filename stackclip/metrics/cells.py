"""The cells of float32 scores, how many bins each is split into, and the bin of a score.

The bits of a float32, with the negative ones turned round, are whole numbers in the order of the scores. Their highest
16 bits name a cell, a 128th of an octave. Each cell is split into 2**level bins of equal width, down to one bin for
each float32. Levels follow the rank: a cell whose scores are a large part of all scores at or above it has many bins,
because there a false alarm moves precision most.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHIFT_BITS", "WITHIN", "Cells", "bins_of", "keys_of", "population_of"]

WITHIN = 16  # bits of a key below those that name its cell
CELLS = 1 << (32 - WITHIN)
SHIFT_BITS = 5  # of an entry: it holds a cell's offset and by how much its keys are shifted
_ABSENT = -1  # the level, the offset and the entry of a cell without bins
_TILT = 0.1  # of the levels towards low ranks: for precision alone it would be 0, for the areas under the curves 1
_LOWER_HALF = 2  # levels that the lower half of the scores does without: only AUROC looks there
_SLICE = 1 << 15  # scores whose intermediate results stay in the processor's cache

Bits = NDArray[np.uint32]


class Cells:
    """The bins of each cell: 2**`levels` of them from `offsets` on; new ones are in the order of the cells.

    `entries` say both in a word, for those who look up many scores; `used` counts the bins of all cells. All arrays are
    (CELLS,). `eighths` is how fine the levels were chosen, for the cells that come later.
    """

    def __init__(self, levels: NDArray[np.int64] | None = None, *, eighths: int = 0) -> None:
        self.levels = np.full(CELLS, _ABSENT) if levels is None else levels.copy()
        self.eighths = eighths
        present = np.flatnonzero(self.levels != _ABSENT)
        sizes = (1 << self.levels[present]).astype(np.int32)
        self.offsets = np.full(CELLS, _ABSENT, np.int32)
        self.offsets[present] = np.cumsum(sizes, dtype=np.int32) - sizes
        self.used = int((1 << self.levels[present]).sum())
        self.entries = self._entries()

    def have(self, scores: NDArray[np.float32]) -> bool:
        """Whether there are bins for all of these scores."""
        return bool((self.levels[keys_of(scores.view(np.uint32)) >> WITHIN] != _ABSENT).all())

    def add(self, seen: NDArray[np.int64], *, budget: int) -> bool:
        """Make bins, behind the others, for the cells that lack them in the span of all; say whether there was room.

        `seen` (CELLS,) counts the scores of each that came now. Cells that have bins keep them as they are.
        """
        if not self.used:
            return False
        span = _span(seen + (self.levels != _ABSENT))
        new = self.levels[span] == _ABSENT
        levels = _levels(_ranks(seen[span])[new], self.eighths, WITHIN)
        sizes = 1 << levels
        if self.used + sizes.sum() > budget:
            return False
        cells = np.flatnonzero(span)[new]
        self.levels[cells] = levels
        self.offsets[cells] = self.used + np.cumsum(sizes) - sizes
        self.used += int(sizes.sum())
        self.entries = self._entries()
        return True

    def divided(self, population: NDArray[np.int64], *, budget: int) -> Cells:
        """Other cells, with a level for each from the lowest to the highest populated, none above what it has.

        The levels are those of the finest division that leaves some room for more cells.
        """
        span = _span(population)
        ranks = _ranks(population[span])
        most = np.where(self.levels[span] == _ABSENT, WITHIN, self.levels[span])
        room = budget * 3 // 4
        fits = bisect_right(range(8 * 64), room, key=lambda eighths: int((1 << _levels(ranks, eighths, most)).sum()))
        eighths = max(fits - 1, 0)
        levels = np.full(CELLS, _ABSENT)
        levels[span] = _levels(ranks, eighths, most)
        return Cells(levels, eighths=eighths)

    def common(self, other: Cells) -> Cells:
        """The finest cells that are made of bins of both."""
        either = np.maximum(self.levels, other.levels)
        both = (self.levels != _ABSENT) & (other.levels != _ABSENT)
        levels = np.where(both, np.minimum(self.levels, other.levels), either)
        return Cells(levels, eighths=min(self.eighths, other.eighths))

    def in_order(self) -> Cells:
        """The same cells with their bins in the order of their scores."""
        return Cells(self.levels, eighths=self.eighths)

    def same(self, other: Cells) -> bool:
        """Whether each cell has the same bins here and there."""
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.levels, other.levels)

    def moves(self, other: Cells) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Where each bin of `other` begins among these, and its place; it has as many in a cell or fewer."""
        own = self.laid_out
        sizes = (1 << other.levels[own]).astype(np.int32)
        joined = (1 << (self.levels[own] - other.levels[own])).astype(np.int32)
        within = np.arange(sizes.sum(), dtype=np.int32)
        within -= np.repeat(np.cumsum(sizes, dtype=np.int32) - sizes, sizes)  # the number of a bin in its cell
        starts = np.repeat(self.offsets[own], sizes) + within * np.repeat(joined, sizes)
        within += np.repeat(other.offsets[own], sizes)
        return starts, within

    @property
    def laid_out(self) -> NDArray[np.intp]:
        """The cells that have bins, in the order of these."""
        return np.argsort(self.offsets, kind="stable")[np.count_nonzero(self.offsets == _ABSENT) :]

    def tied(self, zeros: int) -> NDArray[np.bool_]:
        """Of each bin in order, whether all its scores are equal, if so many last bits are zero in all scores."""
        levels = self.levels[self.levels != _ABSENT]
        return np.repeat(levels >= WITHIN - zeros, 1 << levels)

    def above(
        self, scores: NDArray[np.float32], *, zeros: int, rounded: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first bin that may hold a score above each of these (T,), and the first that holds no other; in order."""
        keys = keys_of(scores.view(np.uint32)).astype(np.int64)
        cells, inner = keys >> WITHIN, keys & ((1 << WITHIN) - 1)
        there = self.levels[cells] != _ABSENT
        shifts = WITHIN - self.levels[cells] * there
        present = np.flatnonzero(self.levels != _ABSENT)
        after = np.append(self.offsets[present], self.used)[np.searchsorted(present, cells)]
        own = np.where(there, self.offsets[cells] + (inner >> shifts), after)
        stop = own + there
        last = ((inner + 1) & ((1 << shifts) - 1) == 0) | (shifts <= zeros)  # the bin holds nothing above it
        return np.where(last & (not rounded), stop, own), stop

    def keyed(self, bits: Bits, *, negative: bool) -> tuple[Bits, NDArray[np.int32]]:
        """Keys (N,) of scores, and the entries in which to look them up; none is below 0 unless `negative` says so."""
        if negative:
            return keys_of(bits), self.entries
        return bits, self.entries[CELLS // 2 :]  # the bits are the upper half of the keys

    def _entries(self) -> NDArray[np.int32]:
        entries = (self.offsets << SHIFT_BITS) | (WITHIN - self.levels)
        return np.where(self.levels == _ABSENT, _ABSENT, entries).astype(np.int32)


def population_of(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many of the scores (N,) each cell has."""
    return np.bincount(keys_of(scores.view(np.uint32)) >> WITHIN, minlength=CELLS)


def keys_of(bits: Bits) -> Bits:
    """Whole numbers in the order of the floats that these bits are; 0.0 and -0.0 are one."""
    signs = (bits.view(np.int32) >> 31).view(np.uint32)
    return (bits ^ (signs | np.uint32(1 << 31))) - signs


def bins_of(keys: Bits, entries: NDArray[np.int32]) -> NDArray[np.intp]:
    """The bin of each key, all of whose cells have bins."""
    index = np.empty(keys.size, np.intp)
    for start in range(0, keys.size, _SLICE):
        part = keys[start : start + _SLICE]
        entry = entries.take(part >> WITHIN)
        inner = part & np.uint32((1 << WITHIN) - 1)
        inner >>= (entry & ((1 << SHIFT_BITS) - 1)).view(np.uint32)
        entry >>= SHIFT_BITS
        np.add(entry, inner.view(np.int32), out=index[start : start + _SLICE])
    return index


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
