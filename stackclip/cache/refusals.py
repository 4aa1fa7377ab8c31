"""What to say where the system refuses: which file, why, and what to do; none of it is damage."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackclip.errors import CorruptStore, StoreError, UnreadableStore

__all__ = ["are_no_locks", "refused_lock", "refused_read", "telling_how_to_mend"]

_LIMIT = "raise the limit of open files (ulimit -n)"
_RIGHT = "give yourself the right to read it"
_ADVICE = {
    errno.EMFILE: _LIMIT,
    errno.ENFILE: _LIMIT,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EIO: "look after the disk",
}
_ELSEWHERE = (
    "only where there are locks can one be sure to be alone, as this needs; do it on a machine that has the disk, or "
    "copy the folder to another disk"
)
_NO_LOCKS = frozenset(
    getattr(errno, name) for name in ("ENOLCK", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL") if hasattr(errno, name)
)


def refused_read(path: Path, error: OSError) -> StoreError:
    """The error of a file of the store that is gone (CorruptStore), or that could not be read (UnreadableStore)."""
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return CorruptStore(f"{path}: {reason}")
    return UnreadableStore(
        f"cannot read {path}: {reason}; {_ADVICE.get(error.errno or 0, 'see to that')} and run again"
    )


def are_no_locks(error: OSError) -> bool:
    """Whether the error of a lock says that the file system has none."""
    return error.errno in _NO_LOCKS


def refused_lock(path: Path, error: OSError) -> StoreError:
    """The error of a lock that the file system does not give."""
    advice = _ELSEWHERE if are_no_locks(error) else "see to that and run again"
    return StoreError(f"cannot lock {path}: {error.strerror or error}; {advice}")


@contextmanager
def telling_how_to_mend(folder: Path) -> Iterator[None]:
    """Damage that is found in the store's files is told with what to do about it."""
    try:
        yield
    except CorruptStore as error:
        raise CorruptStore(f"{error}. Run: stackclip repair {folder}") from None
