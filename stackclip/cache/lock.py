"""One writer at a time: a lock that the system drops when its holder dies."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from stackclip.cache.refusals import refused_lock
from stackclip.errors import StoreError, StoreLocked
from stackclip.ops.words import legible

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["WriterLock"]

logger = logging.getLogger(__name__)

_PAUSE = 0.2  # seconds between two tries: nobody notices, and no server does
_FAR = 1 << 30  # Windows locks bytes, and a locked byte cannot be read: lock one behind the text


class WriterLock:
    """The right to write to a store, held from construction to `release`.

    The file stays when the lock is released or its holder dies: who holds it is the system's business, the text in it
    (host and pid) only names the holder to the one who is refused. Another holder is waited for as many seconds as
    `patience` says, and is named meanwhile. Raises StoreLocked, or StoreError where the folder cannot be written to or
    the file system has no locks.
    """

    def __init__(self, path: Path, *, patience: float = 0.0) -> None:
        try:
            # a link would let whoever made the folder have another file emptied
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise StoreError(f"cannot write to {path.parent}: {error.strerror or error}") from None
        try:
            self._take(path, patience)
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, _me())
        except OSError as error:
            self._close()
            raise refused_lock(path, error) from None
        except BaseException:  # Ctrl-C while it waits, too
            self._close()
            raise

    def _take(self, path: Path, patience: float) -> None:
        end, awaited = time.monotonic() + patience, ""
        while not _try_lock(self._descriptor):
            holder = _holder(path)
            if time.monotonic() >= end:
                how = "wait until it is done, or let cache-features --wait do that"
                raise StoreLocked(f"{path.parent} is being written to by {holder}: {how}")
            if holder != awaited:
                awaited = holder
                logger.info("waiting for %s, which writes to %s", legible(holder), legible(path.parent))
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Let the next writer in."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        self._close()

    def _close(self) -> None:
        with suppress(OSError):  # closed it is, and what it held decides nothing
            os.close(self._descriptor)


def _me() -> bytes:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode()


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {int(facts['pid'])} on {str(facts['host'])!r}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
