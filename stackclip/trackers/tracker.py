"""What a tracker is told, and what it has to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from stackclip.ops.words import legible

__all__ = ["Notice", "OpenRuns", "Tracker", "Value", "plain_name"]

LONGEST = 60  # letters of a name
MOST_OPEN = 16  # runs: each may hold files and a thread, and a grid has thousands


@dataclass(frozen=True, slots=True)
class Value:
    """A number by the name of its curve; `step` counts from 0."""

    name: str
    number: float
    step: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """Numbers of one run: of a method that was trained once, with one seed. `run` is its key, `title` for people.

    `facts` are those of the run, the same in each of its notices.
    """

    run: str
    title: str
    facts: Mapping[str, str]
    values: tuple[Value, ...]


class Tracker(Protocol):
    """Something that keeps numbers of runs; whatever it raises costs nothing but what it was told.

    `destination` says where it keeps them: what was told there once is not told again. What was logged is kept for good
    when `log` returns, or, of a tracker with `at_once = False`, when `close` does: what that one was told counts only
    from then on, and is told again where it fails before.
    """

    destination: str

    def log(self, notice: Notice) -> None:
        """Keep the numbers; those of a run that is known already are added to it."""

    def close(self) -> None:
        """Keep for good whatever is not yet, and let go of what is open; where this fails, all is told again."""


@dataclass
class OpenRuns:
    """The runs that are open, the last few of them: an older one is ended before another begins."""

    end: Callable[[Any], None]
    _open: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, begin: Callable[[], Any]) -> Any:
        """The run of a key, which begins where it is not open. Raises what ending another does."""
        if key not in self._open and len(self._open) >= MOST_OPEN:
            self.end(self._open.pop(next(iter(self._open))))
        self._open[key] = self._open.pop(key) if key in self._open else begin()
        return self._open[key]

    def close(self) -> None:
        """End all of them, whichever fails. Raises what one did."""
        with ExitStack() as every:
            while self._open:
                every.callback(self.end, self._open.popitem()[1])


def plain_name(text: str) -> str:
    """A name of letters, digits, spaces, dots, hyphens and underscores, another one for every text."""
    plain = re.sub(r"[^\w .-]", "_", legible(text)).strip(" .")[:LONGEST]
    return (
        plain
        if plain and plain == text
        else f"{plain or '_'}-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    )
