"""Writing segments so that what was acknowledged survives a crash, a full disk and a lost power line."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.lock import WriterLock
from stackclip.cache.manifest import Manifest, Record
from stackclip.cache.quantize import encode_tokens
from stackclip.cache.segment import array_hash, compose
from stackclip.cache.shapes import FeatureDtype, is_mask, part_shape, stored_form
from stackclip.cache.sources import Source, role_of
from stackclip.errors import PictureError, StoreError
from stackclip.ops.files import sweep_drafts, sync_folder, write_atomically, write_pieces
from stackclip.types import Part, TowerSpec

__all__ = ["SEAL_BYTES", "SEAL_SECONDS", "Writer", "make_folder", "open_writer"]

logger = logging.getLogger(__name__)

SEAL_BYTES = 256 << 20  # large enough that forcing a segment to the disk costs little beside writing it
SEAL_SECONDS = 30.0  # what a power loss may cost

_SEGMENT = re.compile(r"\d{6,}\.h5")
_TEMPORARY = re.compile(r"\.(\d{6,}\.h5|(\d{6,}|store)\.json\.\d+)\.tmp")  # what older versions called theirs
_MINUTE = 60.0
_EXPONENT = np.uint16(0x7C00)  # all ones in a float16 is NaN or infinity


class Writer:
    """Gathers the parts of pictures and seals them into segments; made by `Store.writer`.

    `acknowledged` counts the records that are safe on the disk. Sealing runs beside the caller: at most one segment is
    being written while the next one is gathered.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        spec: TowerSpec,
        *,
        dtype: FeatureDtype,
        sealer: ThreadPoolExecutor,
        held: Callable[[str, Part], bool],
        committed: Callable[[Path, Manifest], None],
        on_sealed: Callable[[tuple[Record, ...]], None] | None,
        seal_bytes: int,
        seal_seconds: float,
    ) -> None:
        self.acknowledged = 0
        self.bytes_written = 0
        self._folder, self._fingerprint, self._spec, self._dtype = folder, fingerprint, spec, dtype
        self._sealer, self._held, self._committed, self._on_sealed = sealer, held, committed, on_sealed
        self._seal_bytes, self._seal_seconds = seal_bytes, seal_seconds
        self._gathered: list[tuple[Record, dict[Part, NDArray[Any]]]] = []
        self._claimed: set[tuple[str, Part]] = set()
        self._bytes, self._since = 0, 0.0
        self._sealing: Future[None] | None = None
        self._number = max(_numbers(folder), default=0) + 1

    def holds(self, source: Source, part: Part) -> bool:
        """Whether the part is in the store, or was given to this writer before."""
        return (source.digest, part) in self._claimed or self._held(source.digest, part)

    def add(self, source: Source, parts: Mapping[Part, NDArray[Any]]) -> None:
        """Take parts of one source: float16 arrays of the part's shape, or runs (R, 3) uint32 for a mask.

        What the store holds already is left out; a store of int8 turns patch parts into codes. Raises PictureError for
        values that are not finite, StoreError for an array of another shape or type, and whatever kept an earlier
        segment from being written.
        """
        self._raise_earlier_failure()
        arrays = {
            part: self._as_stored(part, self._checked(source, part, array))
            for part, array in parts.items()
            if not self.holds(source, part)
        }
        if not arrays:
            return
        hashes = {part: array_hash(array) for part, array in arrays.items()}
        self._since = self._since if self._gathered else time.monotonic()
        self._gathered.append((Record(source.key, source.role, source.digest, source.stamps, hashes), arrays))
        self._claimed.update((source.digest, part) for part in arrays)
        self._bytes += sum(array.nbytes for array in arrays.values())
        if self._bytes >= self._seal_bytes or time.monotonic() - self._since >= self._seal_seconds:
            self._hand_over()

    def seal(self) -> None:
        """Put everything that was added on the disk; returns when it is acknowledged."""
        self._hand_over()
        if self._sealing is not None:
            self._sealing.result()

    def _checked(self, source: Source, part: Part, array: NDArray[Any]) -> NDArray[Any]:
        if role_of(part) != source.role:
            raise StoreError(f"{part} of {source.key} is not made from its {source.role}")
        dtype = np.dtype("<u4") if is_mask(part) else np.dtype("<f2")
        shape = (len(array), 3) if is_mask(part) else part_shape(part, self._spec)
        if array.dtype != dtype or array.shape != shape:
            raise StoreError(f"{part} of {source.key} is {array.dtype} {array.shape}, wanted {dtype} {shape}")
        array = np.ascontiguousarray(array)
        if not is_mask(part) and np.any((array.view(np.uint16) & _EXPONENT) == _EXPONENT):
            raise PictureError(source.path, f"{part} is not finite in float16 (NaN, infinity or above 65504)")
        return array

    def _as_stored(self, part: Part, array: NDArray[Any]) -> NDArray[Any]:
        coded = not is_mask(part) and stored_form(part, self._spec, self._dtype).dtype == np.int8
        return encode_tokens(array) if coded else array

    def _raise_earlier_failure(self) -> None:
        if self._sealing is not None and self._sealing.done():
            self._sealing.result()

    def _hand_over(self) -> None:
        if self._sealing is not None:
            self._sealing.result()  # one segment at a time, and none after one that could not be written
        if self._gathered:
            gathered, self._gathered, self._bytes = self._gathered, [], 0
            self._sealing = self._sealer.submit(self._write, gathered)

    def _write(self, gathered: list[tuple[Record, dict[Part, NDArray[Any]]]]) -> None:
        path = self._folder / "segments" / f"{self._number:06d}.h5"
        try:
            manifest = write_segment(path, gathered, fingerprint=self._fingerprint)
        except OSError as error:
            raise StoreError(
                f"cannot write {path}: {error.strerror or error}; what was sealed before is kept: mend it and run again"
            ) from error
        self._number += 1
        self._committed(path, manifest)
        self.acknowledged += len(manifest.records)
        self.bytes_written += manifest.size
        if self._on_sealed is not None:
            self._on_sealed(manifest.records)


@contextmanager
def open_writer(
    folder: Path, make: Callable[[ThreadPoolExecutor], Writer], *, patience: float = 0.0
) -> Iterator[Writer]:
    """Hold the store's lock, clear what a killed writer left, and seal what was gathered at the end.

    Every gathered record is whole and checked, so it is sealed whatever ends the block: the normal end, Ctrl-C, or an
    error of the caller, which then goes on its way. Only when a segment could not be written is the rest let go of.
    Another writer is waited for `patience` seconds.
    """
    make_folder(folder / "segments")
    lock = WriterLock(folder / "writer.lock", patience=patience)
    sealer = ThreadPoolExecutor(1, thread_name_prefix="stackclip-sealer")
    try:
        clear_leftovers(folder)
        _force_names(folder)
        writer = make(sealer)
        try:
            yield writer
        except BaseException as reason:
            try:
                writer.seal()
            except Exception as error:
                if error is not reason:
                    logger.error("%s", error)
            raise
        writer.seal()
    finally:
        sealer.submit(lock.release)  # behind the last segment, even when a second Ctrl-C ends the waiting here
        sealer.shutdown()


def write_segment(
    path: Path, gathered: Iterable[tuple[Record, Mapping[Part, NDArray[Any]]]], *, fingerprint: str
) -> Manifest:
    """Write one segment and then, when it is on the disk for good, its manifest; raises OSError."""
    gathered = list(gathered)
    rows: dict[Part, list[NDArray[Any]]] = {}
    for _, arrays in gathered:
        for part, array in arrays.items():
            rows.setdefault(part, []).append(array)
    composition = compose([record for record, _ in gathered], rows, fingerprint=fingerprint)
    write_pieces(path, tuple(composition.pieces), size=composition.manifest.size)
    manifest = path.with_suffix(".json")
    try:
        write_atomically(manifest, composition.manifest.encoded())
    except BaseException:
        with suppress(OSError):  # no part of the store, unless its manifest is there though it could not be forced
            if not manifest.exists():
                path.unlink()
        raise
    return composition.manifest


def clear_leftovers(folder: Path) -> None:
    """Remove what a writer that was killed left: drafts that nobody writes, segments without a manifest.

    Only for the holder of the lock. Others may be making store.json, or writing down what they read, meanwhile.
    """
    try:
        for path in (*sweep_drafts(folder), *sweep_drafts(folder / "segments")):
            logger.info("removed %s, left by a process that did not end", path)
    except OSError as error:
        raise StoreError(f"cannot remove what was left in {folder}: {error.strerror or error}") from None
    segments = _listed(folder / "segments")
    leftovers = [path for path in segments if _TEMPORARY.fullmatch(path.name)]
    leftovers += [path for path in _listed(folder) if _TEMPORARY.fullmatch(path.name) and _is_old(path)]
    leftovers += [
        path for path in segments if _SEGMENT.fullmatch(path.name) and path.with_suffix(".json") not in segments
    ]
    for path in sorted(leftovers):
        logger.info("removing %s, left by a writer that did not end", path)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {path}: {error.strerror or error}") from None


def _is_old(path: Path) -> bool:
    """Whether nobody can be writing store.json under this name, which is done without the lock."""
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime > _MINUTE
    return False


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each entry forced to the disk; raises StoreError."""
    try:
        if folder.is_dir():
            return
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot make {folder}: {error.strerror or error}") from None


def _force_names(folder: Path) -> None:
    """Force to the disk the names that a killed writer may have made and not forced, before anything relies on them."""
    try:
        for path in (folder / "segments", folder, folder.parent):
            sync_folder(path)
        with suppress(PermissionError):  # a folder that is not ours to open is not one that we made
            for path in folder.parents[1:3]:
                sync_folder(path)
    except OSError as error:
        raise StoreError(
            f"cannot force {folder} to the disk: {error.strerror or error}; mend it and run again"
        ) from None


def _numbers(folder: Path) -> list[int]:
    names = _listed(folder / "segments")
    return [int(path.stem) for path in names if re.fullmatch(r"\d{6,}\.(h5|json)", path.name)]


def _listed(folder: Path) -> frozenset[Path]:
    try:
        return frozenset(folder.iterdir())
    except OSError as error:
        raise StoreError(f"cannot list {folder}: {error.strerror or error}") from None
