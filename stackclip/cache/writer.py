"""Writing segments so that what was acknowledged survives a crash, a full disk and a lost power line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.claims import Claims
from stackclip.cache.commit import Gathered, commit_segment
from stackclip.cache.folders import clear_leftovers, force_names, make_durable, make_folder
from stackclip.cache.header import Header
from stackclip.cache.index import Index
from stackclip.cache.lock import SharedLock
from stackclip.cache.manifest import Record
from stackclip.cache.quantize import encode_tokens
from stackclip.cache.segment import array_hash
from stackclip.cache.shapes import is_mask, part_shape, stored_form
from stackclip.cache.sources import Source, role_of
from stackclip.errors import PictureError, StoreError
from stackclip.ops.files import sync_folder
from stackclip.types import Part

__all__ = ["SEAL_BYTES", "SEAL_SECONDS", "Sealing", "Writer", "open_writer"]

logger = logging.getLogger(__name__)

SEAL_BYTES = 256 << 20  # large enough that forcing a segment to the disk costs little beside writing it
SEAL_SECONDS = 30.0  # what a power loss may cost

_EXPONENT = np.uint16(0x7C00)  # all ones in a float16 is NaN or infinity


@dataclass(frozen=True, slots=True)
class Sealing:
    """When what was gathered becomes a segment, what is recorded of its writer, and who is told, while it seals."""

    bytes: int
    seconds: float
    told: Callable[[tuple[Record, ...]], None] | None = None
    recorded: Mapping[str, Any] = field(default_factory=dict)


class Writer:
    """Gathers the parts of pictures and seals them into segments; made by `Store.writer`.

    `acknowledged` counts the records that are safe on the disk, `claims` are the parts that were given to it. Sealing
    runs beside the caller: at most one segment is being written while the next one is gathered.
    """

    def __init__(
        self, folder: Path, header: Header, index: Index, sealing: Sealing, sealer: ThreadPoolExecutor
    ) -> None:
        self.acknowledged = 0
        self.bytes_written = 0
        self._folder, self._header, self._index = folder, header, index
        self._when, self._sealer = sealing, sealer
        self._gathered: list[Gathered] = []
        self.claims = Claims(index.held)
        self._bytes, self._since = 0, 0.0
        self._sealing: Future[None] | None = None

    def add(self, source: Source, parts: Mapping[Part, NDArray[Any]]) -> None:
        """Take parts of one source: float16 arrays of the part's shape, or runs (R, 3) uint32 for a mask.

        What the store holds already is left out; a store of int8 turns patch parts into codes. Raises PictureError for
        values that are not finite, StoreError for an array of another shape or type, and whatever kept an earlier
        segment from being written.
        """
        self._raise_earlier_failure()
        held = self.claims.held(source.digest)
        arrays = {
            part: self._as_stored(part, self._checked(source, part, array))
            for part, array in parts.items()
            if part not in held
        }
        if not arrays:
            return
        hashes = {part: array_hash(array) for part, array in arrays.items()}
        self._since = self._since if self._gathered else time.monotonic()
        self._gathered.append((Record(source.key, source.role, source.digest, source.stamps, hashes), arrays))
        self.claims.take(source.digest, arrays)
        self._bytes += sum(array.nbytes for array in arrays.values())
        if self._bytes >= self._when.bytes or time.monotonic() - self._since >= self._when.seconds:
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
        shape = (len(array), 3) if is_mask(part) else part_shape(part, self._header.spec)
        if array.dtype != dtype or array.shape != shape:
            raise StoreError(f"{part} of {source.key} is {array.dtype} {array.shape}, wanted {dtype} {shape}")
        array = np.ascontiguousarray(array)
        if not is_mask(part) and np.any((array.view(np.uint16) & _EXPONENT) == _EXPONENT):
            raise PictureError(source.path, f"{part} is not finite in float16 (NaN, infinity or above 65504)")
        return array

    def _as_stored(self, part: Part, array: NDArray[Any]) -> NDArray[Any]:
        coded = not is_mask(part) and stored_form(part, self._header.spec, self._header.dtype).dtype == np.int8
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

    def _write(self, gathered: list[Gathered]) -> None:
        records = tuple(record for record, _ in gathered)
        try:
            if lacking := self._lacking(gathered):
                digest, recorded = self._header.digest, self._when.recorded
                path, manifest = commit_segment(self._folder, lacking, fingerprint=digest, recorded=recorded)
                self._index.commit(path, manifest)
                self.bytes_written += manifest.size
            else:
                sync_folder(self._folder / "segments")  # whoever brought it may not have come to that
        except OSError as error:
            raise StoreError(
                f"cannot write to {self._folder / 'segments'}: {error.strerror or error}; "
                "what was sealed before is kept: mend it and run again"
            ) from error
        self.acknowledged += len(records)
        if self._when.told is not None:
            self._when.told(records)

    def _lacking(self, gathered: list[Gathered]) -> list[Gathered]:
        """What others have not brought meanwhile."""
        self._index.refresh()
        lacking = []
        for record, arrays in gathered:
            held = self._index.held(record.digest)
            left = {part: each for part, each in arrays.items() if part not in held}
            if left:
                hashes = {part: record.hashes[part] for part in left}
                lacking.append((replace(record, hashes=hashes), left))
        return lacking


@contextmanager
def open_writer(
    folder: Path, header: Header, index: Index, sealing: Sealing, *, patience: float = 0.0
) -> Iterator[Writer]:
    """Write beside others, and seal what was gathered at the end; the first one clears what killed writers left.

    Every gathered record is whole and checked, so it is sealed whatever ends the block: the normal end, Ctrl-C, or an
    error of the caller, which then goes on its way. Only when a segment could not be written is the rest let go of.
    One who repairs the store is waited for `patience` seconds. Raises StoreLocked, StoreError.
    """
    make_folder(folder / "segments")
    lock = SharedLock(folder / "writer.lock", partial(clear_leftovers, folder), patience=patience)
    sealer = ThreadPoolExecutor(1, thread_name_prefix="stackclip-sealer")
    try:
        force_names(folder)
        index.refresh()
        writer = Writer(folder, header, index, sealing, sealer)
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
        make_durable(folder)  # what others brought, and was not asked for again
    finally:
        sealer.submit(lock.release)  # behind the last segment, even when a second Ctrl-C ends the waiting here
        sealer.shutdown()
