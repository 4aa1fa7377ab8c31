"""Work as data: what is to be done, what became of it, and what does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Ask", "Do", "Done", "Executor", "Job", "Run", "Tell", "Told"]


@dataclass(frozen=True)
class Job:
    """Something to be done wherever there is a process for it: small, and picklable.

    `what` is said in words and numbers that mean the same in every process. It waits until no job is left whose `label`
    is among `after`. `deaths` is how many processes died at it.
    """

    kind: str
    what: Any
    after: tuple[str, ...] = ()
    label: str = ""
    deaths: int = 0


@dataclass(frozen=True)
class Done:
    """What became of a job: its result, the error that it raised, or the death of the process that was at it."""

    job: Job
    result: Any = None
    error: Exception | None = None
    died: bool = False


class Tell(Protocol):
    """Told by a job how many of how many are done."""

    def __call__(self, done: int, total: int, /) -> None: ...


class Told(Protocol):
    """Told which job has done how many of how many."""

    def __call__(self, job: Job, done: int, total: int, /) -> None: ...


class Do(Protocol):
    """Does any job, and gives its result, which can be pickled; it is sent to another process once, for all of them.

    It may have `any_gpu`, whether it works on the GPU that its process is given; else it chooses one itself.
    """

    def __call__(self, job: Job, tell: Tell, /) -> Any: ...


Ask = Callable[[], Job | None]
"""Gives the next job; None where there is none as long as those that are being done are not through."""

Run = Callable[[Ask, Told], Iterator[Done]]
"""Does jobs until none is left; what became of each comes as soon as it is known, before the next one is asked for."""


class Executor(Protocol):
    """Something that does jobs, `workers` of them at once.

    `apart` says whether other processes do them, so that what they bring is found on the disk and not in memory.
    """

    @property
    def workers(self) -> int: ...

    @property
    def apart(self) -> bool: ...

    def hired(self, do: Do) -> AbstractContextManager[Run]:
        """What does jobs as long as the block runs; whatever ends it, no process is left that was started for it."""
