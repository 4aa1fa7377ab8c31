"""Which records of which segments there are of each content: rows sorted by digest, to be searched many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.columns import first_rows

__all__ = ["RecordTable", "digests_of", "merged"]

_DIGEST, _INDEX = np.dtype("S32"), np.dtype("<u4")


def digests_of(digests: Iterable[str]) -> NDArray[np.bytes_]:
    """Digests in hex as rows of 32 bytes."""
    data = b"".join(map(bytes.fromhex, digests))
    return np.frombuffer(data, _DIGEST) if data else np.empty(0, _DIGEST)


@dataclass(frozen=True, slots=True)
class RecordTable:
    """Rows (n,): the digest of a content, the segment that has a record of it, which of its records, its set of parts.

    Segments and sets are numbers that are given elsewhere. The rows are sorted by digest, those of one in any order.
    """

    digests: NDArray[np.bytes_]
    segments: NDArray[np.uint32]
    records: NDArray[np.uint32]
    sets: NDArray[np.uint32]

    @classmethod
    def sorted(cls, digests: NDArray[np.bytes_], *columns: NDArray[Any] | Sequence[int]) -> RecordTable:
        """The table of rows in any order; `columns` are segments, records and sets."""
        order = np.argsort(digests, kind="stable")
        segments, records, sets = (np.asarray(column, _INDEX)[order] for column in columns)
        return cls(digests[order], segments, records, sets)

    def __len__(self) -> int:
        return len(self.digests)

    def among(self, chosen: NDArray[np.bool_]) -> RecordTable:
        """Some of the rows (n,)."""
        if chosen.all():
            return self
        return RecordTable(self.digests[chosen], self.segments[chosen], self.records[chosen], self.sets[chosen])

    def of(self, segments: Iterable[int]) -> RecordTable:
        """The rows of some segments, by number."""
        return self.among(np.isin(self.segments, list(segments)))

    def renumbered(self, segments: Sequence[int]) -> RecordTable:
        """The same rows, the segments numbered by their places among those given, which are all there are."""
        places = np.zeros(max(segments, default=-1) + 1, _INDEX)
        places[list(segments)] = np.arange(len(segments))
        return replace(self, segments=places[self.segments])

    def find(self, digests: NDArray[np.bytes_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """The rows of digests (m,): pairs of which digest and which row, the first of each, then the second."""
        rows = first_rows(self.digests, digests)
        which = np.flatnonzero(rows >= 0)
        while len(which):
            yield which, rows[which]
            rows += 1
            which = which[rows[which] < len(self)]
            which = which[self.digests[rows[which]] == digests[which]]


def merged(tables: Sequence[RecordTable]) -> RecordTable:
    """The rows of all tables; none of none."""
    if len(tables) == 1:
        return tables[0]
    digests = np.concatenate([digests_of(()), *(table.digests for table in tables)])
    names = ("segments", "records", "sets")
    columns = ([np.empty(0, _INDEX), *(getattr(table, name) for table in tables)] for name in names)
    return RecordTable.sorted(digests, *map(np.concatenate, columns))
