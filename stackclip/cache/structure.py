"""What a segment must be: the HDF5 tree that its manifest tells of, and every byte outside its arrays."""

from __future__ import annotations

import io
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from stackclip.cache.hdf5 import h5py
from stackclip.cache.manifest import Extent, Manifest
from stackclip.cache.refusals import refused_read
from stackclip.cache.segment import DIGESTS, HASHES, INDICES, OFFSETS, read_exactly
from stackclip.cache.shapes import is_mask
from stackclip.errors import CorruptStore
from stackclip.types import Part

__all__ = ["Layout", "check_frame", "run_offsets"]


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


@dataclass(frozen=True, slots=True)
class Layout:
    """What is where in a segment: its bytes, its arrays, and the tree of its groups and data sets."""

    size: int
    extents: Mapping[Part, Extent]
    tree: Mapping[str, Any]

    @classmethod
    def of(cls, manifest: Manifest) -> Layout:
        """What a manifest tells of."""
        return cls(manifest.size, manifest.extents, _tree(manifest))


def run_offsets(path: Path, layout: Layout) -> dict[Part, NDArray[np.uint64]]:
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
            found = _guarded(file.id, layout.tree, layout.size)
            return {part: _offsets(found, part, extent) for part, extent in layout.extents.items() if is_mask(part)}
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


def _gaps(manifest: Manifest) -> Iterator[tuple[int, int]]:
    end = 0
    for extent in manifest.extents.values():
        yield end, extent.offset
        end = extent.offset + extent.size
    yield end, manifest.size


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
            "source": _Expected(DIGESTS, (count,)),
        }
    }
    having = Counter(part for record in manifest.records for part in record.hashes)
    for part, extent in manifest.extents.items():
        branch = tree
        for name in str(part).split("/"):
            branch = branch.setdefault(name, {})
        rows = having[part]
        branch["record"] = _Expected(INDICES, (rows,))
        branch["xxh3"] = _Expected(HASHES, (rows,))
        if is_mask(part):
            branch["offsets"] = _Expected(OFFSETS, (rows + 1,))
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
