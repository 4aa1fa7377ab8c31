"""Reading rows of committed segments, each row checked at its first reading in a process."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.manifest import Manifest
from stackclip.cache.quantize import decode_tokens
from stackclip.cache.refusals import refused_read
from stackclip.cache.segment import array_hash, read_exactly
from stackclip.cache.structure import Layout, run_offsets
from stackclip.errors import CorruptStore
from stackclip.ops.regions import Runs
from stackclip.types import Part

_DIGEST = 32  # bytes

__all__ = ["STORED", "Place", "RowToRead", "Segment", "decode", "read_rows", "signature"]

STORED = np.dtype("<f2")
"""What dense rows are given as unless float32 is asked for, and what most of them are on the disk."""


class Place(NamedTuple):
    """Where a part of a source is: its segment, its row, and the xxh3 of its bytes."""

    segment: Segment
    row: int
    hash: str


class RowToRead(NamedTuple):
    """A dense row to read: what it is, where it is, whose it is, and the array (float16 or float32) that it fills."""

    part: Part
    place: Place
    key: str
    into: NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A segment's file as one process found it: what identifies it, and which of its rows were checked since."""

    seen: tuple[int, ...]
    offsets: dict[Part, NDArray[np.uint64]]
    checked: dict[Part, bytearray] = field(default_factory=dict)


class Segment:
    """A committed segment, opened anew for each read: nothing is shared with other processes or threads.

    Of its manifest it keeps what reading needs: sources, rows and hashes, some ten bytes for each row.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self._layout = path, Layout.of(manifest)
        self._digests = b"".join(bytes.fromhex(record.digest) for record in manifest.records)
        self._rows = {part: _rows_of(manifest, part) for part in manifest.extents}
        self._last: _Opened | None = None

    def place(self, record: int, digest: str, part: Part) -> Place | None:
        """Where a part of one of its records is; None where that record is of another content or has no such part."""
        if self._digests[record * _DIGEST : (record + 1) * _DIGEST].hex() != digest or part not in self._rows:
            return None
        records, hashes = self._rows[part]
        row = int(records.searchsorted(record))
        return Place(self, row, f"{hashes[row]:016x}") if row < len(records) and records[row] == record else None

    def read(self, wanted: Iterable[RowToRead]) -> None:
        """Fill every row's array, in the order of the file.

        Raises CorruptStore naming the segment and the picture, UnreadableStore where the system does not give the file.
        """
        extents = self._layout.extents
        rows = []
        for each in wanted:
            extent = extents[each.part]
            rows.append((extent.offset + each.place.row * (extent.size // extent.shape[0]), each))
        rows.sort(key=lambda row: row[0])
        scratch: NDArray[Any] | None = None
        with self._opened() as (file, opened):
            for offset, (part, place, key, into) in rows:
                raw, dtype, shape = into, extents[part].dtype, extents[part].shape[1:]
                if (into.dtype, into.shape) != (dtype, shape):
                    if scratch is None or (scratch.dtype, scratch.shape) != (dtype, shape):
                        scratch = np.empty(shape, dtype)  # one row stays in the processor's cache
                    raw = scratch
                self._fill(file, offset, raw, opened.checked, part=part, place=place, key=key)
                if raw is not into:
                    decode(raw, into)

    def read_runs(self, part: Part, place: Place, key: str) -> Runs:
        """The runs (R, 3) of one mask; raises what `read` does."""
        with self._opened() as (file, opened):
            start, stop = (int(offset) for offset in opened.offsets[part][place.row : place.row + 2])
            runs = np.empty((stop - start, 3), np.dtype("<u4"))
            offset = self._layout.extents[part].offset + start * runs.itemsize * 3
            self._fill(file, offset, runs, opened.checked, part=part, place=place, key=key)
        return runs

    @contextmanager
    def _opened(self) -> Iterator[tuple[io.FileIO, _Opened]]:
        """Open the file; what was checked counts only in the process that did it, and for the file as it was then."""
        try:
            file = io.FileIO(self.path)
        except OSError as error:
            raise refused_read(self.path, error) from None
        try:
            seen = (os.getpid(), *signature(self._found(file)))
            opened = self._last
            if opened is None or opened.seen != seen:
                opened = self._last = _Opened(seen, run_offsets(self.path, self._layout))
            yield file, opened
        finally:
            with suppress(OSError):  # what was read is checked, whatever becomes of closing
                file.close()

    def _found(self, file: io.FileIO) -> os.stat_result:
        try:
            return os.fstat(file.fileno())
        except OSError as error:
            raise refused_read(self.path, error) from None

    def _fill(
        self,
        file: io.FileIO,
        offset: int,
        array: NDArray[Any],
        checked: dict[Part, bytearray],
        *,
        part: Part,
        place: Place,
        key: str,
    ) -> None:
        try:
            read_exactly(file, offset, array)
        except EOFError as error:
            raise CorruptStore(f"{self.path}: {part} of {key}: {error}") from None
        except OSError as error:
            raise refused_read(self.path, error) from None
        rows = checked.setdefault(part, bytearray(len(self._rows[part].records)))
        if not rows[place.row]:
            if array_hash(array) != place.hash:
                raise CorruptStore(f"{self.path}: {part} of {key} is not what was written (its xxh3 differs)")
            rows[place.row] = True


class _Rows(NamedTuple):
    """The records that have a part, and the xxh3 of each one's row, in order."""

    records: NDArray[np.uint32]
    hashes: NDArray[np.uint64]


def _rows_of(manifest: Manifest, part: Part) -> _Rows:
    having = [
        (index, int(record.hashes[part], 16)) for index, record in enumerate(manifest.records) if part in record.hashes
    ]
    records, hashes = zip(*having, strict=True)
    return _Rows(np.array(records, np.uint32), np.array(hashes, np.uint64))


def read_rows(wanted: Iterable[RowToRead]) -> None:
    """Fill every row's array, one segment after the other; raises what `Segment.read` does."""
    by_segment: dict[Segment, list[RowToRead]] = {}
    for each in wanted:
        by_segment.setdefault(each.place.segment, []).append(each)
    for segment, rows in by_segment.items():
        segment.read(rows)


def decode(raw: NDArray[Any], into: NDArray[Any]) -> None:
    """Turn a row as it is stored into the numbers asked for; exact for float16, and for int8 into float32."""
    if raw.dtype == np.int8:
        decode_tokens(raw, into)
        return
    import torch  # numpy widens float16 some twenty times slower

    torch.from_numpy(into).copy_(torch.from_numpy(raw))


def signature(facts: os.stat_result) -> tuple[int, ...]:
    """What is different when another file has taken the name."""
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
