"""Executors run the independent jobs of a bench: one job a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from stackclip.registry import executors

__all__ = ["Executor", "Serial"]

Result = TypeVar("Result")


class Executor(Protocol):
    """Something that calls functions; the results come in the order of the jobs."""

    def run(self, jobs: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Call every job."""


@executors.register("serial")
class Serial:
    """One job after another, in this process."""

    def run(self, jobs: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Call every job, in order, when its result is asked for."""
        for job in jobs:
            yield job()
