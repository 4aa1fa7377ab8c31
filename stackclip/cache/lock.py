"""Many who add to a store, or one who clears or mends it: a lock that the system drops when its holder dies."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stackclip.cache.refusals import are_no_locks, refused_lock
from stackclip.errors import StoreError, StoreLocked
from stackclip.ops.drafts import Draft, draft_owners
from stackclip.ops.words import legible

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["SharedLock", "WriterLock"]

logger = logging.getLogger(__name__)

_PAUSES = 0.01, 0.2  # seconds between two tries, at first and later: nobody notices, and no server does
_BRIEF = 30.0  # seconds that a holder without a name is waited for: it clears a folder, or has only just come
_FAR = 1 << 30  # Windows locks bytes, and a locked byte cannot be read: lock one behind the text


class _Lock:
    """An open file that is locked, one way or the other; closed, and so free, after an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # a link would let whoever made the folder have another file emptied
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise StoreError(f"cannot write to {path.parent}: {error.strerror or error}") from None

    def _wait(self, patience: float, *, shared: bool) -> None:
        """Take the lock, from whoever has it within as many seconds; raises StoreLocked naming the holders, OSError."""
        start, awaited, pause = time.monotonic(), "", _PAUSES[0]
        while not _try_lock(self._descriptor, shared=shared):
            # those who add are in the way of one who would be alone, and of nobody else
            holder = _holder(self._path) or ("" if shared else _writers(self._path.parent / "segments"))
            waited = time.monotonic() - start
            if waited >= (patience if holder else max(patience, _BRIEF)):
                raise _locked(self._path.parent, holder or "another process", shared=shared)
            if holder and holder != awaited:
                awaited = holder
                logger.info("waiting for %s, which writes to %s", legible(holder), legible(self._path.parent))
            time.sleep(pause)
            pause = min(2 * pause, _PAUSES[1])

    def _name(self, holder: bytes) -> None:
        """Say who has the lock; what it says counts only while the lock is held by one alone."""
        os.ftruncate(self._descriptor, 0)
        if holder:
            os.write(self._descriptor, holder)

    def _close(self) -> None:
        with suppress(OSError):  # closed it is, and what it held decides nothing
            os.close(self._descriptor)


class WriterLock(_Lock):
    """The right to be the only one who writes to a folder, held from construction to `release`.

    The file stays when the lock is released or its holder dies: who holds it is the system's business, the text in it
    (host and pid) only names the holder to the one who is refused. Other holders are waited for as many seconds as
    `patience` says, and are named meanwhile. Raises StoreLocked, or StoreError where the folder cannot be written to or
    the file system has no locks.
    """

    def __init__(self, path: Path, *, patience: float = 0.0) -> None:
        super().__init__(path)
        try:
            self._wait(patience, shared=False)
            self._name(_me())
        except OSError as error:
            self._close()
            raise refused_lock(path, error) from None
        except BaseException:  # Ctrl-C while it waits, too
            self._close()
            raise

    def release(self) -> None:
        """Let the next one in."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        self._close()


class SharedLock(_Lock):
    """The right to add to a store beside others who do, held from construction to `release`.

    Whoever finds nobody else there does `alone` first, of which nobody sees half. One who must be alone is waited for
    as `WriterLock` does. A file system without locks is written to all the same, and `alone` is left undone. A draft
    among the segments that never becomes one tells who writes. Raises StoreLocked, StoreError, and what `alone` raises.
    """

    def __init__(self, path: Path, alone: Callable[[], None], *, patience: float = 0.0) -> None:
        super().__init__(path)
        try:
            self._share(alone, patience)
            self._presence = Draft(path.parent / "segments")
        except OSError as error:
            self._close()
            where = path.parent / "segments"
            raise StoreError(f"cannot write to {where}: {error.strerror or error}; mend it and run again") from None
        except BaseException:
            self._close()
            raise

    def _share(self, alone: Callable[[], None], patience: float) -> None:
        try:
            is_alone = _try_lock(self._descriptor, shared=False)
            if is_alone:
                self._name(b"")
                alone()
            if not is_alone or sys.platform != "win32":  # where writers take turns
                self._wait(patience, shared=True)  # from one to the other is no single step: others may come between
            self._name(b"")
        except OSError as error:
            if not are_no_locks(error):
                raise refused_lock(self._path, error) from None
            logger.info("%s has no locks: what killed writers left in it stays", legible(self._path.parent))

    def release(self) -> None:
        """Hold it no longer."""
        try:
            self._presence.__exit__()
        finally:
            self._close()


def _locked(folder: Path, holder: str, *, shared: bool) -> StoreLocked:
    """The error of one who wanted to add, or of one who wanted to be alone."""
    how = "wait until it is done, or let cache-features --wait do that" if shared else "run again when that is done"
    return StoreLocked(f"{folder} is being written to by {holder}: {how}")


def _me() -> bytes:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode()


def _holder(path: Path) -> str:
    """Who has a lock alone, if it says so."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {int(facts['pid'])} on {str(facts['host'])!r}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _writers(folder: Path) -> str:
    """Who has drafts in the folder of segments: each writer has one for as long as it writes."""
    try:
        owners = draft_owners(folder)
    except OSError:
        return ""
    return ", ".join(f"process {owner.pid} on {owner.host!r}" for owner in owners)


if sys.platform == "win32":

    def _try_lock(descriptor: int, *, shared: bool) -> bool:  # there is no shared one
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:

    def _try_lock(descriptor: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
