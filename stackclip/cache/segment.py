"""Segments: HDF5 files whose metadata is made in memory, whose arrays we write and read ourselves."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from xxhash import xxh3_64_hexdigest

from stackclip.cache.fingerprint import FORMAT
from stackclip.cache.hdf5 import h5py
from stackclip.cache.manifest import Extent, Manifest, Record
from stackclip.cache.shapes import is_mask
from stackclip.types import Part

__all__ = ["DIGESTS", "HASHES", "INDICES", "OFFSETS", "Composed", "Rows", "array_hash", "compose", "read_exactly"]

Rows = Mapping[Part, Sequence[NDArray[Any]]]
"""For each part its arrays, in the order of the records that have it."""

_VERSION = ("v108", "v108")  # HDF5's file format of 2008: compact groups, checksummed metadata, readable everywhere
_ALIGNMENT = 64
HASHES, INDICES, OFFSETS, DIGESTS = np.dtype("<u8"), np.dtype("<u4"), np.dtype("<u8"), np.dtype("S64")
"""The types of what stands beside the arrays: their xxh3, the records they belong to, where runs begin, sources."""


def array_hash(array: NDArray[Any]) -> str:
    """The xxh3 (64 bits, 16 hex digits) of a contiguous array's bytes."""
    return str(xxh3_64_hexdigest(_bytes_of(array)))


@dataclass(frozen=True, slots=True)
class Composed:
    """A segment that is ready to be written: its manifest, and its bytes in order, the features among them uncopied."""

    manifest: Manifest
    pieces: tuple[memoryview | bytes, ...]


def compose(
    records: Sequence[Record], rows: Rows, *, fingerprint: str, recorded: Mapping[str, Any] | None = None
) -> Composed:
    """Lay the records and their arrays out as one HDF5 file, without making a second copy of the arrays."""
    head, extents, size = _metadata(records, rows, fingerprint)
    frame, end = blake3(), 0
    pieces: list[memoryview | bytes] = []
    for part, extent in extents.items():
        gap = head[end : extent.offset].ljust(extent.offset - end, b"\0")
        frame.update(gap)
        pieces += [gap, *map(_bytes_of, rows[part])]
        end = extent.offset + extent.size
    tail = head[end:size].ljust(size - end, b"\0")
    frame.update(tail)
    manifest = Manifest(fingerprint, size, frame.hexdigest(), tuple(records), extents, recorded or {})
    return Composed(manifest, tuple(filter(None, [*pieces, tail])))


def read_exactly(file: io.RawIOBase, offset: int, into: NDArray[Any]) -> NDArray[Any]:
    """Fill a contiguous array from an unbuffered file; raises EOFError where the file ends before, OSError."""
    view, done = _bytes_of(into), 0
    file.seek(offset)
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise EOFError(f"ends {len(view) - done} bytes early")
        done += count
    return into


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


class _Metadata(io.RawIOBase):
    """The file that HDF5 believes to write: it keeps the metadata and lets the arrays' places stay empty."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.size = 0
        self._position = 0
        self._closed_at: int | None = None

    def keep_no_more(self) -> None:
        """From now on let go of what is written behind the metadata that is there."""
        self._closed_at = len(self.kept)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        kept = bytes(self.kept[self._position : self._position + len(view)])
        view[:] = kept.ljust(len(view), b"\0")
        self._position += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        end = self._position + len(view)
        if self._closed_at is None or end <= self._closed_at:
            self.kept.extend(bytes(max(0, end - len(self.kept))))
            self.kept[self._position : end] = view
        self._position, self.size = end, max(self.size, end)
        return len(view)


def _metadata(records: Sequence[Record], rows: Rows, fingerprint: str) -> tuple[bytes, dict[Part, Extent], int]:
    """Everything of the file but its arrays, the place of each array, and the file's size."""
    target = _Metadata()
    with h5py.File(target, "w", libver=_VERSION, alignment_threshold=_ALIGNMENT, alignment_interval=_ALIGNMENT) as file:
        file.attrs["format"] = np.bytes_(f"stackclip-segment {FORMAT}")
        file.attrs["fingerprint"] = np.bytes_(fingerprint)
        _write_small(file, "records/key", np.array([record.key.encode() for record in records]))
        _write_small(file, "records/source", np.array([record.digest.encode() for record in records], DIGESTS))
        arrays = {part: _write_part(file, part, records, rows[part]) for part in sorted(rows)}
        file.flush()
        target.keep_no_more()
        for array in arrays.values():
            _allocate(array)
        places = {part: (array.get_offset(), array.shape, array.dtype) for part, array in arrays.items()}
        del array, arrays
    extents = {part: Extent(*place) for part, place in places.items() if place[0] is not None}
    end = max((extent.offset + extent.size for extent in extents.values()), default=len(target.kept))
    extents |= {part: Extent(end, *place[1:]) for part, place in places.items() if place[0] is None}
    return bytes(target.kept), dict(sorted(extents.items(), key=lambda item: item[1].offset)), max(end, target.size)


def _write_small(file: h5py.File, name: str, array: NDArray[Any]) -> None:
    file.create_dataset(name, data=array)


def _write_part(file: h5py.File, part: Part, records: Sequence[Record], rows: Sequence[NDArray[Any]]) -> Any:
    """Write what stands beside a part's array, and make room for the array itself."""
    having = [index for index, record in enumerate(records) if part in record.hashes]
    _write_small(file, f"{part}/record", np.array(having, INDICES))
    _write_small(file, f"{part}/xxh3", np.array([int(records[i].hashes[part], 16) for i in having], HASHES))
    if is_mask(part):
        _write_small(file, f"{part}/offsets", np.cumsum([0, *map(len, rows)], dtype=OFFSETS))
        name, shape = b"runs", (sum(map(len, rows)), 3)
    else:
        name, shape = b"features", (len(rows), *rows[0].shape)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(rows[0].dtype)
    return h5py.h5d.create(file[str(part)].id, name, kind, h5py.h5s.create_simple(shape), plan)


def _allocate(array: Any) -> None:
    """Let HDF5 choose the array's place, which it does when the first element is written."""
    if not all(array.shape):
        return
    first = np.zeros((1,) * len(array.shape), array.dtype)
    place = array.get_space()
    place.select_hyperslab((0,) * first.ndim, first.shape)
    array.write(h5py.h5s.create_simple(first.shape), place, first)
