"""Looking at a whole store again, byte by byte, and taking out of it what is no longer as it was written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stackclip.cache.check import Problem, Progress, SourceCheck, check_sources
from stackclip.cache.folders import clear_leftovers
from stackclip.cache.header import Header, read_header
from stackclip.cache.index import Index
from stackclip.cache.index_file import damage_of_index, index_of, seen_in
from stackclip.cache.lock import WriterLock
from stackclip.cache.manifest import Manifest, Record
from stackclip.cache.reader import Place, RowToRead, Segment
from stackclip.cache.readings import readings_of
from stackclip.cache.shapes import is_mask
from stackclip.cache.structure import check_frame
from stackclip.errors import CorruptStore, StoreError, UnreadableStore
from stackclip.ops.files import sync_folder

__all__ = ["repair", "sources_again", "verify"]


def verify(folder: Path, header: Header, progress: Progress | None = None) -> list[Problem]:
    """Read every byte of a store again and compare it with what was written; the problems found, one for each file.

    Raises CorruptStore when store.json itself is damaged, FingerprintMismatch where it is another's by now.
    """
    header, problems = read_header(folder, fingerprint=header.fingerprint), list[Problem]()
    stems = sorted(seen_in(folder), key=int)
    for done, stem in enumerate(stems, start=1):
        problems += _examined(folder / "segments" / f"{stem}.json", header)
        if progress is not None:
            progress(done, len(stems))
    return [*problems, *_of_derived(folder, header)]


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
        suspects = {problem.path for problem in verify(folder, header, progress)}
        problems = [problem for problem in _of_derived(folder, header) if problem.path in suspects]
        for path in sorted(path for path in suspects if path.parent.name == "segments"):
            problems += _examined(path, header)
        for problem in problems:
            if problem.unreadable:
                raise UnreadableStore(f"{problem.reason}: nothing was dropped")
        for problem in problems:
            _drop(problem.path)
        clear_leftovers(folder)
    finally:
        lock.release()
    return problems


def _examined(path: Path, header: Header) -> Iterator[Problem]:
    """Look at one segment by itself, all of it; what is wrong with it, if anything is."""
    records: tuple[Record, ...] | None = None
    try:
        manifest = header.manifest(path)
        records = manifest.records
        check_frame(path.with_suffix(".h5"), manifest)
        _read_all(path.with_suffix(".h5"), manifest)
    except (CorruptStore, UnreadableStore) as error:
        if os.path.lexists(path):  # else dropped by a repair while we looked
            yield Problem(path, str(error), records, isinstance(error, UnreadableStore))


def _of_derived(folder: Path, header: Header) -> Iterator[Problem]:
    """What is wrong with the files that are made of the others."""
    readings = readings_of(folder)
    for path, reason in (
        (readings.path, readings.damage()),
        (index_of(folder), damage_of_index(folder, header.digest)),
    ):
        if reason is not None:
            yield Problem(path, reason, ())


def _read_all(path: Path, manifest: Manifest) -> None:
    """Read every row; raises CorruptStore at the first that is not as it was written, UnreadableStore."""
    segment, rows = Segment(path, manifest), dict.fromkeys(manifest.extents, 0)
    for record in manifest.records:
        for part, digest in record.hashes.items():
            place = Place(segment, rows[part], digest)
            rows[part] += 1
            if is_mask(part):
                segment.read_runs(part, place, record.key)
            else:
                extent = manifest.extents[part]
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
