"""Segments: HDF5 files whose metadata is made in memory, whose arrays we write and read ourselves."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from xxhash import xxh3_64_hexdigest

from stackclip.cache.fingerprint import FORMAT
from stackclip.cache.manifest import Extent, Manifest, Record
from stackclip.cache.refusals import refused_read
from stackclip.cache.shapes import is_mask
from stackclip.errors import CorruptStore
from stackclip.types import Part

os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # before HDF5 starts: no file may make it load code
import h5py

__all__ = ["Composed", "Rows", "array_hash", "check_frame", "compose", "read_exactly", "run_offsets"]

Rows = Mapping[Part, Sequence[NDArray[Any]]]
"""For each part its arrays, in the order of the records that have it."""

_VERSION = ("v108", "v108")  # HDF5's file format of 2008: compact groups, checksummed metadata, readable everywhere
_ALIGNMENT = 64
_HASHES, _INDICES, _OFFSETS, _DIGESTS = np.dtype("<u8"), np.dtype("<u4"), np.dtype("<u8"), np.dtype("S64")


def array_hash(array: NDArray[Any]) -> str:
    """The xxh3 (64 bits, 16 hex digits) of a contiguous array's bytes."""
    return str(xxh3_64_hexdigest(_bytes_of(array)))


@dataclass(frozen=True, slots=True)
class Composed:
    """A segment that is ready to be written: its manifest, and its bytes in order, the features among them uncopied."""

    manifest: Manifest
    pieces: tuple[memoryview | bytes, ...]


def compose(records: Sequence[Record], rows: Rows, *, fingerprint: str) -> Composed:
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
    return Composed(
        Manifest(fingerprint, size, frame.hexdigest(), tuple(records), extents), tuple(filter(None, [*pieces, tail]))
    )


def check_frame(path: Path, manifest: Manifest) -> None:
    """Check a segment's size and every byte outside its arrays; raises CorruptStore, UnreadableStore."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise CorruptStore(f"{path}: is no regular file")
        if found.st_size != manifest.size:
            raise CorruptStore(f"{path}: has {found.st_size} bytes, wanted {manifest.size}")
        frame = blake3()
        with path.open("rb", buffering=0) as file:
            for start, stop in _gaps(manifest):
                frame.update(read_exactly(file, start, np.empty(stop - start, np.uint8)).data)
    except EOFError as error:
        raise CorruptStore(f"{path}: {error}") from None
    except OSError as error:
        raise refused_read(path, error) from None
    if frame.hexdigest() != manifest.frame:
        raise CorruptStore(f"{path}: its HDF5 metadata is not what was written")


def run_offsets(path: Path, manifest: Manifest) -> dict[Part, NDArray[np.uint64]]:
    """Check that the segment is the HDF5 file that its manifest tells of, and give the offsets of its ragged parts.

    Row i of a ragged part is [offsets[i], offsets[i + 1]). Everything is looked at before anything is read: links other
    than hard ones, external or virtual storage, filters, other names, types, shapes or places than expected raise
    CorruptStore, and what cannot be read UnreadableStore.
    """
    try:
        opened = _Watched(path)
    except OSError as error:
        raise refused_read(path, error) from None
    try:
        # HDF5 gets the open file, not its name: it takes no lock and cannot look for other files beside this one.
        with h5py.File(opened, "r") as file:
            found = _guarded(file.id, _tree(manifest), manifest.size)
            return {part: _offsets(found, part, extent) for part, extent in manifest.extents.items() if is_mask(part)}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if opened.failure is not None:
            raise refused_read(path, opened.failure) from None
        raise CorruptStore(f"{path}: is not the HDF5 file that was written ({error})") from None
    finally:
        with suppress(OSError):  # what was read is checked, whatever becomes of closing
            opened.close()


class _Watched(io.FileIO):
    """A file that remembers why it could not be read, which HDF5 tells in other words."""

    failure: OSError | None = None

    def readinto(self, buffer: Any) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:
            self.failure = error
            raise


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


def _gaps(manifest: Manifest) -> Iterator[tuple[int, int]]:
    end = 0
    for extent in manifest.extents.values():
        yield end, extent.offset
        end = extent.offset + extent.size
    yield end, manifest.size


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
        _write_small(file, "records/source", np.array([record.digest.encode() for record in records], _DIGESTS))
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
    _write_small(file, f"{part}/record", np.array(having, _INDICES))
    _write_small(file, f"{part}/xxh3", np.array([int(records[i].hashes[part], 16) for i in having], _HASHES))
    if is_mask(part):
        _write_small(file, f"{part}/offsets", np.cumsum([0, *map(len, rows)], dtype=_OFFSETS))
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


@dataclass(frozen=True, slots=True)
class _Expected:
    """A data set that must be there: its type, its shape and, for the arrays, where it lies."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int | None = None


def _tree(manifest: Manifest) -> dict[str, Any]:
    """The groups (as dicts) and data sets that a segment has, no more and no fewer."""
    longest = max((len(record.key.encode()) for record in manifest.records), default=1)
    count = len(manifest.records)
    tree: dict[str, Any] = {
        "records": {
            "key": _Expected(np.dtype(f"S{max(longest, 1)}"), (count,)),
            "source": _Expected(_DIGESTS, (count,)),
        }
    }
    for part, extent in manifest.extents.items():
        branch = tree
        for name in str(part).split("/"):
            branch = branch.setdefault(name, {})
        rows = sum(part in record.hashes for record in manifest.records)
        branch["record"] = _Expected(_INDICES, (rows,))
        branch["xxh3"] = _Expected(_HASHES, (rows,))
        if is_mask(part):
            branch["offsets"] = _Expected(_OFFSETS, (rows + 1,))
            branch["runs"] = _Expected(extent.dtype, extent.shape, extent.offset)
        else:
            branch["features"] = _Expected(extent.dtype, extent.shape, extent.offset)
    return tree


def _guarded(group: Any, tree: Mapping[str, Any], size: int, path: str = "") -> dict[str, Any]:
    """Compare a group with the tree that it must be, link by link; gives its data sets by path, none of them read."""
    names = {name.decode("utf-8", "backslashreplace") for name in group}
    if names != set(tree):
        raise ValueError(f"{path or '/'} holds {_listed(names)}, wanted {_listed(tree)}")
    found: dict[str, Any] = {}
    for name, wanted in tree.items():
        place = f"{path}/{name}"
        if group.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{place} is a link to another place")
        node = h5py.h5o.open(group, name.encode())
        if isinstance(wanted, _Expected):
            _guard_array(node, wanted, size, place)
            found[place] = node
        elif isinstance(node, h5py.h5g.GroupID):
            found |= _guarded(node, wanted, size, place)
        else:
            raise ValueError(f"{place} is no group")
    return found


def _guard_array(node: Any, wanted: _Expected, size: int, place: str) -> None:
    if not isinstance(node, h5py.h5d.DatasetID):
        raise ValueError(f"{place} is no data set")
    plan = node.get_create_plist()
    if plan.get_layout() != h5py.h5d.CONTIGUOUS or plan.get_external_count() or plan.get_nfilters():
        raise ValueError(f"{place} is not stored plainly in this file")
    if node.get_type() != h5py.h5t.py_create(wanted.dtype) or node.shape != wanted.shape:
        raise ValueError(f"{place} is {node.dtype} {node.shape}, wanted {wanted.dtype} {wanted.shape}")
    stored, declared = node.get_storage_size(), wanted.dtype.itemsize * int(np.prod(wanted.shape))
    if stored != declared:
        raise ValueError(f"{place} stores {stored} bytes, wanted {declared}")
    offset = node.get_offset()
    if declared and (offset is None or offset + declared > size):
        raise ValueError(f"{place} leaves the file")
    if declared and wanted.offset is not None and offset != wanted.offset:
        raise ValueError(f"{place} lies at {offset}, wanted {wanted.offset}")


def _offsets(found: Mapping[str, Any], part: Part, extent: Extent) -> NDArray[np.uint64]:
    offsets = h5py.Dataset(found[f"/{part}/offsets"])[...]
    if offsets[0] != 0 or offsets[-1] != extent.shape[0] or np.any(offsets[1:] < offsets[:-1]):
        raise ValueError(f"/{part}/offsets do not cover its runs")
    return np.asarray(offsets, np.uint64)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
