"""Files that are either whole or absent: atomic writes, content hashes, canonical JSON."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from blake3 import blake3

if sys.platform != "win32":
    import fcntl

__all__ = [
    "WRITE_PROTECTED",
    "Draft",
    "canonical_json",
    "content_hash",
    "expanded",
    "file_hash",
    "kind_of_file",
    "naming",
    "sweep_drafts",
    "sync_folder",
    "sync_tree",
    "write_atomically",
    "write_pieces",
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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system name the file that was to be written, which not every library does."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a crash or a full disk leaves the old file or the new one, never a part.

    The data and then the folder's entry are forced to the disk before this returns. What a run that was killed left
    in the folder is removed at a process's first write there. Raises OSError naming `path`.
    """
    with naming(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, f"{path.parent} is a file, where a folder belongs") from None
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
        with Draft(path.parent) as draft:
            if size:
                _reserve(draft.descriptor, size)
            for piece in pieces:
                draft.write(memoryview(piece))
            os.fsync(draft.descriptor)
            if draft.becomes(path):
                break
    else:
        raise OSError(errno.EAGAIN, "others remove what is being written")
    sync_folder(path.parent)


def kind_of_file(mode: int) -> str:
    """What a file is that is no regular one, by the mode that `stat` gives: `a folder`, `a named pipe`; else empty."""
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")


class Draft:
    """A new empty file in `folder` under a name of its own, open for writing, and locked where there are locks.

    The name holds host, process and a random part, so that machines and containers that share a folder never meet; a
    link that waits under it is not followed. At the end of a `with` the file is removed unless it took another name.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f".stackclip-{_host()}-{os.getpid()}-{secrets.token_hex(8)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self.descriptor = os.open(self.path, flags, 0o666)
        self._open = True
        _lock(self.descriptor)

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._close()
        finally:
            with suppress(OSError):  # the first error is the one to tell; a later sweep removes the file
                self.path.unlink(missing_ok=True)

    def write(self, data: memoryview) -> None:
        """Write every byte; raises OSError."""
        while data:
            written = os.write(self.descriptor, data)
            if not written:
                raise OSError(errno.EIO, "nothing was written")
            data = data[written:]

    def becomes(self, path: Path) -> bool:
        """Take the name `path`; False where another process took the draft for one that was left, and removed it."""
        if os.name == "nt":
            self._close()  # an open file keeps its name there
        try:
            self.path.replace(path)
        except FileNotFoundError:
            return False
        return True

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self.descriptor)


def sweep_drafts(folder: Path) -> list[Path]:
    """Remove the drafts in `folder` whose writers are gone, and return them. Raises OSError.

    The living hold a lock on theirs; where there are no locks, drafts of this machine's processes stay while these
    live, and those of others for a day.
    """
    left = [path for path in folder.iterdir() if _DRAFT.fullmatch(path.name) and _is_left(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return left


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
_DAY = 86400.0
_DRAFT = re.compile(r"\.stackclip-(?P<host>[A-Za-z0-9-]+)-(?P<pid>\d+)-[0-9a-f]{16}\.tmp")
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


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:32] or "unnamed"


def _is_left(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False  # gone by now, a link, or not ours
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        locked = _lock(descriptor)
        return _has_no_writer(path, os.fstat(descriptor)) if locked is None else locked
    finally:
        os.close(descriptor)


def _has_no_writer(path: Path, found: os.stat_result) -> bool:
    """Whether the name and age of a draft say that nobody writes it any more."""
    named = _DRAFT.fullmatch(path.name)
    if named is None or named["host"] != _host() or os.name == "nt":  # where os.kill would end the process
        return time.time() - found.st_mtime > _DAY
    try:
        os.kill(int(named["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _lock(descriptor: int) -> bool | None:
    """Lock an open file: whether that worked, or None where there are no locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
