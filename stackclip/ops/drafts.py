"""What is being written: under names of its own until it is whole, kept while its writer lives."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from stackclip.ops.named_errors import naming

if sys.platform != "win32":
    import fcntl

__all__ = ["Draft", "DraftOwner", "draft_folder", "draft_owners", "is_draft", "make_parent", "sweep_drafts"]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_DRAFT = re.compile(r"\.stackclip-(?P<host>[A-Za-z0-9-]+)-(?P<pid>\d+)-[0-9a-f]{16}\.(?P<ending>tmp|folder)")
_NO_LINKS = frozenset(
    getattr(errno, name)
    for name in ("EPERM", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL", "EMLINK")
    if hasattr(errno, name)
)


class DraftOwner(NamedTuple):
    """Who writes a draft, by its name."""

    host: str
    pid: int


class Draft:
    """A new empty file in `folder` under a name of its own, open for writing, and locked where there are locks.

    The name holds host, process and a random part, so that machines and containers that share a folder never meet; a
    link that waits under it is not followed. At the end of a `with` the draft is removed, whatever other names the file
    was given.
    """

    def __init__(self, folder: Path) -> None:
        self.path = _new_name(folder, "tmp")
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
        self._let_go()
        try:
            self.path.replace(path)
        except FileNotFoundError:
            return False
        return True

    def claims(self, path: Path, *, reserved: bool = False) -> bool:
        """Give the file the name `path` too, unless another has it: of many that try, one is told True.

        Where there are no hard links an empty file takes the name and then the draft its place; or, where the name is
        `reserved` for this process, the draft at once. Raises OSError.
        """
        self._let_go()
        try:
            os.link(self.path, path)
        except FileExistsError:  # by us, where a server's answer was lost and it was asked again
            return os.path.samestat(self.path.lstat(), path.lstat())
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._takes(path, reserved=reserved)
        return True

    def _takes(self, path: Path, *, reserved: bool) -> bool:
        if reserved and os.path.lexists(path):
            return False
        if not reserved:
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            except FileExistsError:
                return False
        try:
            self.path.replace(path)
        except OSError:
            if not reserved:
                path.unlink()
            raise
        return True

    def _let_go(self) -> None:
        if os.name == "nt":  # where an open file keeps its name
            self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self.descriptor)


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """A new hidden folder in `parent`, which is made too, for what is given a name when it is whole.

    It is removed at the end, unless it has another name by then. So are, at the beginning, those in `parent` whose
    makers are gone, by the rules of `sweep_drafts`; those of other machines after a day. None is where folders cannot
    be opened (Windows), and so not locked: nothing there tells one that is left from one of days. Raises OSError naming
    `parent` where no folder can be made in it.
    """
    make_parent(parent)
    with suppress(OSError):  # what is left there harms nothing
        for left in (path for path in parent.iterdir() if _ending(path) == "folder" and _is_left(path)):
            shutil.rmtree(left, ignore_errors=True)
    path = _new_name(parent, "folder")
    with naming(parent):
        path.mkdir()
    try:
        with _locked(path):
            yield path
    finally:
        with suppress(OSError):
            path.rmdir()  # of one that is empty still, which wants no file opened, as there may be too many
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, where one can be opened."""
    if os.name == "nt":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def make_parent(folder: Path) -> None:
    """Make a folder, with those above it, unless it is there. Raises OSError, which says where a file is in its way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(
            errno.ENOTDIR, f"{folder.name} is a file, where a folder belongs", str(folder)
        ) from None


def is_draft(path: Path) -> bool:
    """Whether a file has the name of a draft."""
    return _ending(path) == "tmp"


def draft_owners(folder: Path) -> list[DraftOwner]:
    """Who has drafts in `folder` that are not left; raises OSError."""
    drafts = (path for path in folder.iterdir() if is_draft(path) and not _is_left(path))
    found = [named for path in drafts if (named := _DRAFT.fullmatch(path.name))]
    return sorted({DraftOwner(named["host"], int(named["pid"])) for named in found})


def sweep_drafts(folder: Path) -> list[Path]:
    """Remove the drafts in `folder` whose writers are gone, and return them. Raises OSError.

    The living hold a lock on theirs. Where there are no locks, and in the moment before one is taken, drafts of this
    machine's processes stay while these live; those of other machines stay for an hour where there are locks, lest
    these hold on one machine alone, and for a day where there are none.
    """
    left = [path for path in folder.iterdir() if is_draft(path) and _is_left(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return left


def _new_name(folder: Path, ending: str) -> Path:
    return folder / f".stackclip-{_host()}-{os.getpid()}-{secrets.token_hex(8)}.{ending}"


def _ending(path: Path) -> str:
    named = _DRAFT.fullmatch(path.name)
    return named["ending"] if named else ""


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:32] or "unnamed"


def _is_left(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False  # gone by now, a link, or not ours
    try:
        found = os.fstat(descriptor)
        if not (stat.S_ISDIR if _ending(path) == "folder" else stat.S_ISREG)(found.st_mode):
            return False
        locked = _lock(descriptor)
        return locked is not False and _has_no_writer(path, found, locks=locked is True)
    finally:
        os.close(descriptor)


def _has_no_writer(path: Path, found: os.stat_result, *, locks: bool) -> bool:
    """Whether the name and age of a draft that nobody holds a lock on say that nobody writes it any more."""
    named, age = _DRAFT.fullmatch(path.name), time.time() - found.st_mtime
    if named is None or named["host"] != _host() or os.name == "nt":  # where os.kill would end the process
        return age > (_HOUR if locks and named and named["ending"] == "tmp" else _DAY)  # a folder's age says little
    try:
        os.kill(int(named["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return locks and age > _MINUTE  # another process has the number by now


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
