"""What a file system says of a file without reading it, and when that tells that a file is still the one it was."""

from __future__ import annotations

import os
from collections.abc import Iterable
from time import time_ns
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HAS_CHANGE_TIME", "FileState", "settled_rows", "were_settled"]

HAS_CHANGE_TIME = os.name != "nt"
"""Where there is none, one process believes what it saw itself, and no other."""

_OLD_ENOUGH_NS = 3 * 10**9  # how coarse the clocks of file systems are (FAT: 2 s), and a little more


class FileState(NamedTuple):
    """What a file system says of a file without reading it; the times are nanoseconds.

    `changed` is the time of the last change of content, name, owner or times, which no program can set. Windows has the
    time of creation there.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        """The state that `stat` found."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def were_settled(files: Iterable[FileState], moment: int) -> bool:
    """Whether files in these states were old enough at a moment (ns), by clocks that have not gone back since.

    A file that is changed in the moment of its reading may look like the one that was read.
    """
    return moment <= time_ns() and all(
        file.inode and max(file.modified, file.changed) + _OLD_ENOUGH_NS < moment for file in files
    )


def settled_rows(files: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The same of many files (n, 5) at once, each at its own moment (n,)."""
    latest = files[:, 3:].max(1, initial=-_OLD_ENOUGH_NS)
    return np.asarray((moments <= time_ns()) & (files[:, 1] != 0) & (latest < moments - _OLD_ENOUGH_NS))
