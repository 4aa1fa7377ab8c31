"""Which segments have records of which contents, of many segments at once and as more of them come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.manifest import Record
from stackclip.cache.record_table import RecordTable, digests_of, merged
from stackclip.cache.shapes import is_mask
from stackclip.types import Part

__all__ = ["Contents", "Found"]

_NONE: frozenset[Part] = frozenset()
_NO_LENGTHS = np.empty(0, np.uint64)


class Found(NamedTuple):
    """A record of a content: the number of its segment, which of the segment's records it is, the parts it has."""

    segment: int
    record: int
    parts: frozenset[Part]


class Contents:
    """The records of segments, which go by numbers; those of a segment in `dead` are known and do not serve.

    They lie in few tables: two of about one size become one. `sets` are the sets of parts that records have, `lengths`
    (n,) the sizes of their sources' files, sorted.
    """

    def __init__(
        self,
        table: RecordTable | None = None,
        sets: Iterable[frozenset[Part]] = (),
        lengths: NDArray[np.uint64] = _NO_LENGTHS,
    ) -> None:
        self.dead: set[int] = set()
        self.sets, self._lengths = list(sets), lengths
        self._numbers = {parts: number for number, parts in enumerate(self.sets)}
        self._tables: tuple[RecordTable, ...] = () if table is None else (table,)
        self._new: list[tuple[NDArray[Any], ...]] = []

    def add(self, segment: int, records: Sequence[Record]) -> None:
        """Take in a segment."""
        sets = np.fromiter((self._number(frozenset(record.hashes)) for record in records), np.uint32)
        sizes = {size for record in records for size, _ in record.stamps if 0 <= size < 1 << 64}
        digests, each = digests_of(record.digest for record in records), np.arange(len(records), dtype=np.uint32)
        segments = np.full(len(records), segment, np.uint32)
        self._new.append((np.array(sorted(sizes), np.uint64), digests, segments, each, sets))

    @property
    def lengths(self) -> NDArray[np.uint64]:
        """The sizes of the sources' files (n,), each once and sorted."""
        self._sort_in()
        return self._lengths

    def may_have(self, sizes: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Of which of the sizes (n,) of files there are records."""
        return np.isin(sizes.astype(np.uint64), self.lengths)

    @property
    def tables(self) -> tuple[RecordTable, ...]:
        """All rows."""
        self._sort_in()
        return self._tables

    def _sort_in(self) -> None:
        if self._new:
            lengths, *columns = map(np.concatenate, zip(*self._new, strict=True))
            self._new = []
            self._lengths = np.unique(np.concatenate([self._lengths, lengths]))
            self._tables += (RecordTable.sorted(*columns),)
        while len(self._tables) > 1 and len(self._tables[-2]) <= 2 * len(self._tables[-1]):
            self._tables = (*self._tables[:-2], merged(self._tables[-2:]))

    def of(self, digest: str | None) -> list[Found]:
        """All records of a content, in no order."""
        key = digests_of([digest] if digest else [])
        rows = [(table, int(row[0])) for table in self.tables for _, row in table.find(key)]
        return [
            Found(int(table.segments[row]), int(table.records[row]), self.sets[table.sets[row]]) for table, row in rows
        ]

    def held(self, digest: str | None) -> frozenset[Part]:
        """The parts of a content that serve."""
        return _NONE.union(*(found.parts for found in self.of(digest) if found.segment not in self.dead))

    def held_of(self, digests: NDArray[np.bytes_]) -> list[frozenset[Part]]:
        """The parts of each content (n,) that serve, none of one that is zeros; equal ones are one object."""
        held, known = np.zeros(len(digests), np.intp), [_NONE]  # which of the known sets each has
        for table in self.tables:
            for which, rows in table.find(digests):
                serving = self._serving(table, rows)
                which = which[serving]
                pairs = held[which] * len(self.sets) + table.sets[rows[serving]]
                each, places = np.unique(pairs, return_inverse=True)
                held[which] = len(known) + places
                known += [known[pair // len(self.sets)] | self.sets[pair % len(self.sets)] for pair in each.tolist()]
        return list(map(known.__getitem__, held.tolist()))

    def table(self) -> RecordTable:
        """All rows that serve."""
        whole = merged(self.tables)
        self._tables = (whole,)
        return whole.among(self._serving(whole, slice(None)))

    @property
    def parts(self) -> frozenset[Part]:
        """Every part that some record has and that serves."""
        return _NONE.union(*(self.sets[number] for number in np.unique(self.table().sets)))

    def __len__(self) -> int:
        """How many different pictures there are features of."""
        table, dense = self.table(), [any(not is_mask(part) for part in parts) for parts in self.sets]
        digests = table.digests[np.array(dense, bool)[table.sets]]
        return len(digests) - int(np.count_nonzero(digests[1:] == digests[:-1]))

    def _serving(self, table: RecordTable, rows: NDArray[np.intp] | slice) -> NDArray[np.bool_]:
        """Which of some rows are of segments that serve."""
        segments = table.segments[rows]
        return ~np.isin(segments, list(self.dead)) if self.dead else np.ones(len(segments), bool)

    def _number(self, parts: frozenset[Part]) -> int:
        if parts not in self._numbers:
            self._numbers[parts] = len(self.sets)
            self.sets.append(parts)
        return self._numbers[parts]
