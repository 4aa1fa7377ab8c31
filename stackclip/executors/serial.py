"""Jobs one after another, here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from stackclip.executors.job import Ask, Do, Done, Run, Told
from stackclip.executors.worker import attempt
from stackclip.registry import executors

__all__ = ["Serial"]


@executors.register("serial")
class Serial:
    """One job after another, in this process."""

    workers, apart = 1, False

    @contextmanager
    def hired(self, do: Do) -> Iterator[Run]:
        """What does a job when its outcome is asked for."""

        def run(ask: Ask, told: Told) -> Iterator[Done]:
            while (job := ask()) is not None:
                yield attempt(do, job, partial(told, job))

        yield run
