"""The folders of a store: made, forced to the disk, and cleared of what a writer that was killed left in them."""

from __future__ import annotations

import errno
import logging
import re
import time
from contextlib import suppress
from pathlib import Path

from stackclip.errors import StoreError
from stackclip.ops.drafts import sweep_drafts
from stackclip.ops.files import sync_folder

__all__ = ["clear_leftovers", "force_names", "make_durable", "make_folder", "segment_numbers"]

logger = logging.getLogger(__name__)

_SEGMENT = re.compile(r"\d{6,}\.h5")
_TEMPORARY = re.compile(r"\.(\d{6,}\.h5|(\d{6,}|store)\.json\.\d+)\.tmp")  # what older versions called theirs
_MINUTE = 60.0


def clear_leftovers(folder: Path) -> None:
    """Remove what a writer that was killed left: drafts that nobody writes, segments without a manifest.

    Only for one who is alone, by the lock. Others may be making store.json, or writing down what they read, meanwhile.
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
        path for path in segments if _is_segment_without_manifest(path, segments) and not _is_being_written(path)
    ]
    for path in sorted(leftovers):
        logger.info("removing %s, left by a writer that did not end", path)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {path}: {error.strerror or error}") from None


def _is_segment_without_manifest(path: Path, segments: frozenset[Path]) -> bool:
    return _SEGMENT.fullmatch(path.name) is not None and path.with_suffix(".json") not in segments


def _is_being_written(path: Path) -> bool:
    """Whether the segment is a draft too: of one that lives, where a lock holds on one machine alone."""
    with suppress(OSError):
        return path.lstat().st_nlink > 1
    return False


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


def force_names(folder: Path) -> None:
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


def make_durable(folder: Path) -> None:
    """Force the names of the segments to the disk: a writer that was killed may not have come to that.

    Does nothing on a medium that cannot be written to. Raises StoreError where the disk fails.
    """
    try:
        sync_folder(folder / "segments")
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EINVAL):
            reason = f"{error.strerror}; mend it and run again"
            raise StoreError(f"cannot force {folder} to the disk: {reason}") from None


def segment_numbers(folder: Path) -> list[int]:
    """The numbers that segments of the store have, committed or not; raises StoreError."""
    names = _listed(folder / "segments")
    return [int(path.stem) for path in names if re.fullmatch(r"\d{6,}\.(h5|json)", path.name)]


def _listed(folder: Path) -> frozenset[Path]:
    try:
        return frozenset(folder.iterdir())
    except OSError as error:
        raise StoreError(f"cannot list {folder}: {error.strerror or error}") from None
