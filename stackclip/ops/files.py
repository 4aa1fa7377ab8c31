"""Files that are either whole or absent: atomic writes, content hashes, canonical JSON."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from blake3 import blake3

from stackclip.ops.drafts import Draft, draft_folder, make_parent, sweep_drafts
from stackclip.ops.named_errors import naming

__all__ = [
    "WRITE_PROTECTED",
    "canonical_json",
    "content_hash",
    "expanded",
    "file_hash",
    "kind_of_file",
    "sync_folder",
    "sync_tree",
    "write_atomically",
    "write_pieces",
    "written_draft",
    "written_once",
]

WRITE_PROTECTED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Why nothing can be written to a folder with which nothing is wrong."""


def canonical_json(facts: Mapping[str, Any]) -> bytes:
    """One byte string for equal facts: sorted keys, no spaces, UTF-8, no NaN; what is no text as JSON's escapes."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")  # bytes of a file's name that are none: \udcff


def content_hash(data: bytes) -> str:
    """The blake3 of `data`, in hex."""
    return blake3(data).hexdigest()


def file_hash(path: Path) -> str:
    """The blake3 of a file's content, in hex."""
    hasher = blake3()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def expanded(text: str) -> Path:
    """The path with the home folder for `~`, or as it is where that is nobody's."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a crash or a full disk leaves the old file or the new one, never a part.

    The data and then the folder's entry are forced to the disk before this returns. What a run that was killed left
    in the folder is removed at a process's first write there. Raises OSError naming `path`.
    """
    with naming(path):
        make_parent(path.parent)
        if path.parent not in _swept:
            _swept.add(path.parent)
            with suppress(OSError):  # what is left there harms nothing
                sweep_drafts(path.parent)
        write_pieces(path, (data,))


def write_pieces(path: Path, pieces: Sequence[memoryview | bytes], *, size: int = 0) -> None:
    """Write a file that appears under its name only when all of it is on the disk; its folder is there.

    With `size` (bytes) the space is taken first, so that a full disk is found at once. Raises OSError.
    """
    for _ in range(_TRIES):
        with written_draft(path.parent, pieces, size=size) as draft:
            if draft.becomes(path):
                break
    else:
        raise OSError(errno.EAGAIN, "others remove what is being written")
    sync_folder(path.parent)


@contextmanager
def written_draft(folder: Path, pieces: Sequence[memoryview | bytes], *, size: int = 0) -> Iterator[Draft]:
    """A draft in `folder` whose content is on the disk, to be given a name; `size` as in `write_pieces`."""
    with Draft(folder) as draft:
        if size:
            _reserve(draft.descriptor, size)
        for piece in pieces:
            draft.write(memoryview(piece))
        os.fsync(draft.descriptor)
        yield draft


def kind_of_file(mode: int) -> str:
    """What a file is that is no regular one, by the mode that `stat` gives: `a folder`, `a named pipe`; else empty."""
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")


def written_once(place: Path, write: Callable[[Path], None]) -> Path:
    """Have `write` fill the folder `place`, unless it is there; return it.

    A draft is filled and then renamed, so what has the name is whole and on the disk, and of two processes that write
    at once one finds the other's work done. Raises OSError; before anything is done where `place` is no folder.
    """
    if place.is_dir():
        return place
    if os.path.lexists(place):
        raise NotADirectoryError(errno.ENOTDIR, "is there and is no folder: move it away", str(place))
    with draft_folder(place.parent) as draft:
        write(draft)
        sync_tree(draft)  # else a loss of power could leave the name of what is whole around empty files
        try:
            with naming(place):
                draft.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was first
                raise
    sync_folder(place.parent)
    return place


def sync_tree(folder: Path) -> None:
    """Force every file and folder below `folder`, and itself, to the disk; raises OSError."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            with naming(path), path.open("rb+") as file:
                os.fsync(file.fileno())
        sync_folder(Path(place))


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the system can (Windows cannot open a folder)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_TRIES = 5
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_swept: set[Path] = set()


def _reserve(descriptor: int, size: int) -> None:
    """Take the space before writing, where the file system can."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
