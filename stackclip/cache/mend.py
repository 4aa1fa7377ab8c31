"""Looking at a whole store again, byte by byte, and taking out of it what is no longer as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stackclip.cache.check import Problem, Progress, SourceCheck, check_sources
from stackclip.cache.folders import clear_leftovers
from stackclip.cache.header import Header, read_header
from stackclip.cache.index import Index
from stackclip.cache.lock import WriterLock
from stackclip.cache.manifest import Record
from stackclip.cache.reader import Place, RowToRead, Segment
from stackclip.cache.readings import Readings, readings_of
from stackclip.cache.shapes import is_mask
from stackclip.cache.structure import check_frame
from stackclip.errors import CorruptStore, StoreError, UnreadableStore
from stackclip.ops.files import sync_folder
from stackclip.types import Part

__all__ = ["repair", "sources_again", "verify"]


def verify(folder: Path, header: Header, progress: Progress | None = None) -> list[Problem]:
    """Read every byte of a store again and compare it with what was written; the problems found, one for each file.

    Raises CorruptStore when store.json itself is damaged, FingerprintMismatch where it is another's by now.
    """
    index = Index(folder, read_header(folder, fingerprint=header.fingerprint))
    problems, segments = list(index.problems), sorted(index.segments.items())
    for done, (path, segment) in enumerate(segments, start=1):
        try:
            _read_all(segment)
        except (CorruptStore, UnreadableStore) as error:
            unreadable = isinstance(error, UnreadableStore)
            problems.append(Problem(path, str(error), segment.manifest.records, unreadable))
        if progress is not None:
            progress(done, len(segments))
    return [*problems, *_damage(readings_of(folder))]


def sources_again(folder: Path, header: Header, progress: Progress | None = None) -> Iterator[SourceCheck]:
    """Read again each picture and mask that the store holds and knows a place of; raises what `verify` does."""
    index = Index(folder, read_header(folder, fingerprint=header.fingerprint))
    return check_sources((known for known in readings_of(folder) if known[2].digest in index), progress)


def repair(folder: Path, header: Header, progress: Progress | None = None) -> list[Problem]:
    """Verify a store and drop each file that has a problem; what is good at a second look is kept.

    Returns what was dropped. Raises StoreLocked while another process writes, and UnreadableStore, before anything is
    dropped, for a file that the system does not let us read.
    """
    lock = WriterLock(folder / "writer.lock")
    try:
        suspects = [problem.path for problem in verify(folder, header, progress)]
        problems = [problem for path in suspects for problem in _examined(path, folder, header)]
        for problem in problems:
            _drop(problem.path)
        clear_leftovers(folder)
    finally:
        lock.release()
    return problems


def _examined(path: Path, folder: Path, header: Header) -> Iterator[Problem]:
    """Look at one file by itself, all of it; raises UnreadableStore where that says nothing about its bytes."""
    readings = readings_of(folder)
    if path == readings.path:
        yield from _damage(readings)
        return
    records: tuple[Record, ...] | None = None
    try:
        manifest = header.manifest(path)
        records = manifest.records
        check_frame(path.with_suffix(".h5"), manifest)
        _read_all(Segment(path.with_suffix(".h5"), manifest))
    except UnreadableStore as error:
        raise UnreadableStore(f"{error}: nothing was dropped") from None
    except CorruptStore as error:
        yield Problem(path, str(error), records)


def _damage(readings: Readings) -> Iterator[Problem]:
    if (reason := readings.damage()) is not None:
        yield Problem(readings.path, reason, ())


def _read_all(segment: Segment) -> None:
    """Read every row; raises CorruptStore at the first that is not as it was written, UnreadableStore."""
    rows: dict[Part, int] = dict.fromkeys(segment.manifest.extents, 0)
    for record in segment.manifest.records:
        for part, digest in record.hashes.items():
            place = Place(segment, rows[part], digest)
            rows[part] += 1
            if is_mask(part):
                segment.read_runs(part, place, record.key)
            else:
                extent = segment.manifest.extents[part]
                row = np.empty(extent.shape[1:], extent.dtype)
                segment.read([RowToRead(part, place, record.key, row)])


def _drop(manifest: Path) -> None:
    """Take a segment out of its store: the manifest first, for good, and then the file."""
    try:
        manifest.unlink(missing_ok=True)
        sync_folder(manifest.parent)
        manifest.with_suffix(".h5").unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove {manifest}: {error.strerror or error}") from None
