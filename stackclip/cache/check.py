"""What may be wrong with a store: a file of it that is damaged, a picture that is another than it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from stackclip.cache.manifest import Record
from stackclip.cache.prefetch import prefetch
from stackclip.cache.sources import Reading, Role, read_again
from stackclip.errors import PictureError
from stackclip.ops.words import counted
from stackclip.types import Part

__all__ = ["Problem", "Progress", "SourceCheck", "SourceState", "check_sources"]

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""

SourceState = Literal["same", "changed", "gone", "unreadable"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A file of the store that is not as it was written, and the records that it takes with it (if they are known).

    `unreadable` is one that the system does not let us read: that says nothing about its bytes.
    """

    path: Path
    reason: str
    records: tuple[Record, ...] | None
    unreadable: bool = False

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that were in it, as far as that is known."""
        return frozenset(part for record in self.records or () for part in record.hashes)

    def __str__(self) -> str:
        held = "holds" if self.unreadable else "held"
        if self.records is None:
            return f"{self.reason} (what it {held} is unknown)"
        return f"{self.reason} (it {held} {counted(len(self.records), 'record')})"


class SourceCheck(NamedTuple):
    """A picture or mask that was read again: where, what became of it, and why it could not be read."""

    path: Path
    state: SourceState
    reason: str = ""


def check_sources(
    readings: Iterable[tuple[Path, Role, Reading]], progress: Progress | None = None, *, threads: int = 4
) -> Iterator[SourceCheck]:
    """Read each source again, whatever the times of its files say, and compare it with what was read before."""
    known = tuple(readings)
    for done, check in enumerate(prefetch(_check_source, known, threads=threads), start=1):
        yield check
        if progress is not None:
            progress(done, len(known))


def _check_source(known: tuple[Path, Role, Reading]) -> SourceCheck:
    home, role, before = known
    try:
        home.stat()
        now = read_again(home, role)
    except (FileNotFoundError, NotADirectoryError):
        return SourceCheck(home, "gone")
    except OSError as error:
        return SourceCheck(home, "unreadable", error.strerror or str(error))
    except PictureError as error:
        return SourceCheck(error.path, "unreadable", error.reason)
    return SourceCheck(home, "same" if now.digest == before.digest else "changed")
