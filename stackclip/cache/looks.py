"""Looks at many files at once: where they are, and what the file system says of them."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.sources import Role, state_of
from stackclip.errors import PictureError
from stackclip.ops.states import FileState

__all__ = ["Looks", "absolute", "look_at"]

_FACTS = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")  # as FileState has them
_WHOLE = 1 << 64
_HALF = 1 << 63


@dataclass(frozen=True)
class Looks:
    """Sources of one role (n,) as a look found them.

    `files` (f, 5) are the states of all files, numbers from 2^63 on as negative ones, which no file kept on record has;
    those of a source, in the order of their names, lie from its number in `ends` (n + 1,) to the next. `there` (n,) are
    those that could be looked at: the others are missing, out of reach or no regular files.
    """

    role: Role
    homes: Sequence[Path]
    files: NDArray[np.int64]
    ends: NDArray[np.int64]
    there: NDArray[np.bool_]

    @cached_property
    def places(self) -> list[str]:
        """The absolute path of each."""
        return absolute(self.homes)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Those of all files (f,) in bytes."""
        return self.files[:, 2]

    def states(self, at: int) -> tuple[FileState, ...] | None:
        """The states of the files of one source, None where it is not there."""
        rows = self.files[self.ends[at] : self.ends[at + 1]].tolist()
        states = (FileState(device % _WHOLE, inode % _WHOLE, *others) for device, inode, *others in rows)
        return tuple(states) if self.there[at] else None

    def where_all(self, files: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The sources (n,) all of whose files are among some (f,)."""
        every = np.ones(len(self.homes), bool)
        every[np.repeat(np.arange(len(self.homes)), np.diff(self.ends))[~files]] = False
        return every


def look_at(homes: Sequence[Path], role: Role) -> Looks:
    """Look once at each picture, or at the file or folder of each mask."""
    numbers, counts, there = array("q"), np.ones(len(homes), np.int64), np.ones(len(homes), bool)
    for at, home in enumerate(homes):
        try:
            found = os.stat(str(home))  # noqa: PTH116 -- Path.stat is the same call, slower
            if S_ISREG(found.st_mode):
                numbers.extend(_FACTS(found))
                continue
        except OverflowError:
            del numbers[len(numbers) // 5 * 5 :]
        except (OSError, ValueError):
            counts[at], there[at] = 0, False
            continue
        try:
            files = state_of(home, role)
        except PictureError:
            files, there[at] = (), False
        counts[at] = len(files)
        numbers.extend((number + _HALF) % _WHOLE - _HALF for file in files for number in file)
    table = np.frombuffer(numbers, np.int64) if numbers else np.empty(0, np.int64)
    return Looks(role, homes, table.reshape(-1, 5), np.concatenate([[0], np.cumsum(counts)]), there)


def absolute(homes: Iterable[Path]) -> list[str]:
    """What os.path.abspath makes of each; it is asked once for what lies in one folder."""
    known: dict[str, str] = {}
    found = []
    for home in homes:
        folder, separator, name = (text := str(home)).rpartition(os.sep)
        if name in ("", ".", ".."):
            found.append(_absolute(text))
            continue
        if (prefix := known.get(folder := folder + separator)) is None:
            prefix = known[folder] = os.path.join(_absolute(folder), "")  # noqa: PTH118 -- it ends with a separator
        found.append(prefix + name)
    return found


def _absolute(text: str) -> str:
    return os.path.abspath(text)  # noqa: PTH100 -- Path.absolute keeps `..`, Path.resolve reads every link
