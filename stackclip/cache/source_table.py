"""Many readings of sources as columns: what was read where, and how its files were then, sorted to be searched."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from stackclip.cache.columns import first_rows, read_columns, write_columns
from stackclip.cache.sources import Reading, Role
from stackclip.errors import DamagedFile
from stackclip.ops.states import FileState, settled_rows

__all__ = ["ReadPlace", "SourceTable", "gathered", "keys_of"]

ReadPlace = tuple[Role, str]
"""What a file is used as, and its absolute path."""

_FORMAT = 1
_LARGEST = 1 << 34  # bytes; a place has some 200
_ROLES: tuple[Role, ...] = ("picture", "mask")
_WANTED = {
    "keys": "|S16",
    "digests": "|S32",
    "moments": "<i8",
    "roles": "|u1",
    "file_ends": "<i8",
    "files": "<i8",
    "place_ends": "<i8",
    "places": "|u1",
}
_LIMIT = 1 << 63


def keys_of(places: Iterable[ReadPlace]) -> NDArray[np.bytes_]:
    """By what places (n,) are found: 16 bytes each."""
    digest, how = xxh3_128_digest, (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())  # as os.fsencode
    keys = b"".join([digest(f"{role} {place}".encode(*how)) for role, place in places])
    return np.frombuffer(bytearray(keys), _WANTED["keys"])


@dataclass(frozen=True, slots=True)
class SourceTable:
    """Readings, a row each (n,), sorted by key.

    `files` (f, 5) are the states of all files and `places` the bytes of all paths; those of a row lie from its number
    in `file_ends` and `place_ends` (n + 1,) to the next.
    """

    keys: NDArray[np.bytes_]
    digests: NDArray[np.bytes_]
    moments: NDArray[np.int64]
    roles: NDArray[np.uint8]
    file_ends: NDArray[np.int64]
    files: NDArray[np.int64]
    place_ends: NDArray[np.int64]
    places: NDArray[np.uint8]

    @classmethod
    def of(cls, readings: Mapping[ReadPlace, Reading]) -> SourceTable:
        """The table of these readings; those whose numbers are too large for one are left out."""
        readings = {place: reading for place, reading in readings.items() if _fits(reading)}
        paths, found = [os.fsencode(path) for _, path in readings], readings.values()
        return cls(
            keys_of(readings),
            np.array([bytes.fromhex(reading.digest) for reading in found], _WANTED["digests"]),
            np.array([reading.moment for reading in found], np.int64),
            np.array([_ROLES.index(role) for role, _ in readings], np.uint8),
            _ends([len(reading.files) for reading in found]),
            np.array([file for reading in found for file in reading.files], np.int64).reshape(-1, 5),
            _ends([len(path) for path in paths]),
            np.frombuffer(bytearray(b"".join(paths)), np.uint8),
        )._rows(slice(None))

    @classmethod
    def read(cls, path: Path) -> SourceTable:
        """The table that a file holds, none of another format. Raises DamagedFile."""
        facts, columns = read_columns(path, _WANTED, largest=_LARGEST)
        if facts.get("format") != _FORMAT:
            return cls.of({})
        table, count = cls(**columns), len(columns["keys"])
        sound = all(column.shape == (count,) for column in (table.keys, table.digests, table.moments, table.roles))
        sound = sound and table.files.shape[1:] == (5,) and table.places.ndim == 1 and bool((table.roles < 2).all())
        sound = sound and not np.any(table.keys[1:] <= table.keys[:-1])
        sound = sound and _are_ends(table.file_ends, count, len(table.files))
        if not sound or not _are_ends(table.place_ends, count, len(table.places)):
            raise DamagedFile(f"{path}: its facts do not fit together")
        return table

    def write(self, path: Path) -> None:
        """Put it in place of the file at `path`; raises OSError."""
        write_columns(path, {"format": _FORMAT}, {name: getattr(self, name) for name in _WANTED})

    def __len__(self) -> int:
        return len(self.keys)

    def joined(self, other: SourceTable) -> SourceTable:
        """The rows of both; for a place that both have, that of the other."""
        own = self._rows(~np.isin(self.keys, other.keys))
        both = {name: np.concatenate([getattr(own, name), getattr(other, name)]) for name in _WANTED}
        for name in ("file_ends", "place_ends"):
            first, second = getattr(own, name), getattr(other, name)
            both[name] = np.concatenate([first, second[1:] + first[-1]])
        return SourceTable(**both)._rows(slice(None))

    def find(self, keys: NDArray[np.bytes_]) -> NDArray[np.intp]:
        """The row of each key (m,), -1 where there is none."""
        return first_rows(self.keys, keys)

    def place(self, row: int) -> ReadPlace:
        """What was read."""
        start, stop = self.place_ends[row : row + 2]
        return _ROLES[self.roles[row]], os.fsdecode(self.places[start:stop].tobytes())

    def reading(self, row: int) -> Reading:
        """What was found there."""
        files = self.files[self.file_ends[row] : self.file_ends[row + 1]].tolist()
        digest = self.digests[row : row + 1].tobytes().hex()
        return Reading(digest, tuple(FileState(*file) for file in files), int(self.moments[row]))

    def have(self, rows: NDArray[np.intp], ends: NDArray[np.int64], files: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some rows (m,) are of files in these states, which lie as those of a table do."""
        own_ends, own = gathered(self.files, self.file_ends, rows)
        counts, own_counts = np.diff(ends), np.diff(own_ends)
        same: NDArray[np.bool_] = counts == own_counts
        equal = (files[np.repeat(same, counts)] == own[np.repeat(same, own_counts)]).all(1)
        same[np.repeat(np.flatnonzero(same), counts[same])[~equal]] = False
        return same

    def believed(self) -> NDArray[np.bool_]:
        """Which rows (n,) are believed while their files are as they were."""
        counts = np.diff(self.file_ends)
        settled = settled_rows(self.files, np.repeat(self.moments, counts))
        return np.logical_and.reduceat(settled, self.file_ends[:-1]) if len(self) else np.empty(0, bool)

    def _rows(self, chosen: NDArray[np.bool_] | slice) -> SourceTable:
        """Some of the rows, sorted."""
        rows = np.arange(len(self))[chosen]
        rows = rows[np.argsort(self.keys[rows], kind="stable")]
        files, places = gathered(self.files, self.file_ends, rows), gathered(self.places, self.place_ends, rows)
        return SourceTable(self.keys[rows], self.digests[rows], self.moments[rows], self.roles[rows], *files, *places)


def _fits(reading: Reading) -> bool:
    return all(-_LIMIT <= number < _LIMIT for number in (reading.moment, *chain(*reading.files)))


def _ends(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _are_ends(ends: NDArray[np.int64], count: int, total: int) -> bool:
    """Whether `count` runs of values, none of them empty, have `total` values together."""
    return ends.shape == (count + 1,) and ends[0] == 0 and ends[-1] == total and bool((ends[1:] > ends[:-1]).all())


def gathered(
    values: NDArray[Any], ends: NDArray[np.int64], rows: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The runs of some rows one after another: where they end (m + 1,), and their values."""
    lengths = np.diff(ends)[rows]
    new = np.cumsum(np.concatenate([[0], lengths]), dtype=np.int64)
    return new, values[np.arange(new[-1]) + np.repeat(ends[rows] - new[:-1], lengths)]
