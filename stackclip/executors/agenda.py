"""Which job comes next, and what comes of those at which processes died."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from stackclip.executors.job import Done, Job, Run, Told
from stackclip.ops.words import counted

__all__ = ["TRIES", "Agenda", "carried_out"]

logger = logging.getLogger("stackclip")

TRIES = 3  # of a job at which a process died
GIVE_UP = 12  # deaths one after another, with nothing done in between


class Agenda:
    """The jobs that are left.

    One at which a process died comes again in the `parts` that it has, each for itself, and once it is one part alone
    until it was tried TRIES times. `fit` says what of a job is still wanted when its turn comes; None is nothing.
    Where processes only die, the rest is given up and stays undone: it is `left`.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        parts: Callable[[Job], Sequence[Job]],
        fit: Callable[[Job], Job | None] = lambda job: job,
    ) -> None:
        self._waiting, self._parts, self._fit = list(jobs), parts, fit
        self._open = Counter(job.label for job in self._waiting)
        self._in_a_row = self.left = 0

    @property
    def count(self) -> int:
        """How many jobs are not through."""
        return self._open.total()

    def ask(self) -> Job | None:
        """The next job that waits for no other."""
        while ready := [job for job in self._waiting if not any(self._open[label] for label in job.after)]:
            self._waiting.remove(ready[0])
            if (wanted := self._fit(ready[0])) is not None:
                return wanted
            self._open[ready[0].label] -= 1
        return None

    def settle(self, done: Done) -> bool:
        """Take note of what became of a job; whether that was the last of it."""
        again = self._again(done.job) if done.died else []
        self._open[done.job.label] += len(again) - 1
        self._waiting[:0] = again
        self._in_a_row = self._in_a_row + 1 if done.died else 0
        if self._in_a_row >= GIVE_UP and self._waiting:
            self.left, self._waiting = len(self._waiting), []
            logger.warning("%d processes died one after another: %s left", GIVE_UP, counted(self.left, "job"))
        return not again

    def _again(self, job: Job) -> list[Job]:
        logger.warning("a process died at its work (%s)", job.label or job.kind)
        parts = self._parts(job)
        if len(parts) > 1:
            return list(parts)
        return [replace(job, deaths=job.deaths + 1)] if job.deaths + 1 < TRIES else []


def carried_out(run: Run, agenda: Agenda, told: Told) -> Iterator[Done]:
    """Have all jobs of an agenda done; what became of each in the end, in the order in which they end."""
    for done in run(agenda.ask, told):
        if agenda.settle(done):
            yield done
