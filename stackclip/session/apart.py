"""Work that other processes share: jobs are given to them, and what they bring is on the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING

from stackclip.benchmarks.entrant import Errand
from stackclip.errors import PictureError
from stackclip.executors import TRIES, Agenda, Done, Executor, Job, Run, carried_out
from stackclip.ops.progress import Listener
from stackclip.ops.words import counted, duration
from stackclip.session.desk import Desk
from stackclip.session.jobs import (
    BenchWords,
    EncodeWords,
    Encoding,
    Teaching,
    Tried,
    bench_jobs,
    encode_jobs,
    halves,
    methods_apart,
)
from stackclip.session.work import Encoded, together
from stackclip.types import Row, Sample

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Bench
    from stackclip.benchmarks.seeds import CellName
    from stackclip.cache import Store
    from stackclip.session.steps import Steps
    from stackclip.session.workbench import Workbench

__all__ = ["Computed", "Foreman", "foreman"]

logger = logging.getLogger("stackclip")

DIED = f"a process died {TRIES} times at it"


@dataclass
class Computed:
    """What processes computed of a bench: how many cells, those that failed there, and how many jobs were left."""

    cells: int = 0
    failed: dict[CellName, Row | str] = field(default_factory=dict)
    left: int = 0

    def take(self, tried: Tried) -> None:
        """Add what became of a job."""
        self.cells += tried.computed
        self.failed |= {(row.method, row.test_on, row.category, row.seed): row for row in tried.failed}

    def bury(self, job: Job, lacking: Sequence[CellName]) -> None:
        """Give the cells of a job at which processes died that as their error."""
        what = job.what
        for name in lacking:
            where = isinstance(what, Teaching) or name[1:3] == (what.dataset, what.category)
            if name[0] in what.methods and name[3] == what.seed and where:
                self.failed.setdefault(name, DIED)

    def fit(self, job: Job) -> Job | None:
        """A job without the methods that failed before it came to their cells."""
        if isinstance(job.what, Teaching):
            return job
        what = job.what
        able = tuple(m for m in what.methods if (m, what.dataset, what.category, what.seed) not in self.failed)
        return replace(job, what=replace(what, methods=able)) if able else None


@dataclass
class Foreman:
    """Gives the jobs of a session to processes, tells how far they are, and has what they could not do said."""

    run: Run
    workers: int
    progress: Listener

    def encode(
        self,
        words: BenchWords | EncodeWords,
        workbench: Workbench,
        store: Store,
        errands: Sequence[Errand],
        *,
        strict: bool = False,
        patience: float = 0.0,
    ) -> Encoded:
        """Have encoded what the store lacks; at the end this process looks whether all is there, and mends what is not.

        A picture at which processes died is among those that failed. Raises as `Workbench.encode` does.
        """
        started = time.monotonic()
        lacking = [sample for each in errands for sample, _ in store.lacking(each.samples, each.parts)]
        batches, wanted = ceil(len(lacking) / workbench.batch_size), frozenset(lacking)
        jobs = encode_jobs(words, batches, self.workers, strict=strict, patience=patience)
        useful = [job for job in jobs if any(wanted.intersection(job.what.shard.of(each.samples)) for each in errands)]
        agenda = Agenda(useful, lambda job: halves(job, errands))
        brought, deadly = [], set[Sample]()
        for done in self._through(agenda, len(lacking)):
            if done.died:
                store.refresh()
                some = [(done.job.what.shard.of(each.samples), each.parts) for each in errands]
                deadly |= {sample for samples, parts in some for sample, _ in store.lacking(samples, parts)}
            elif isinstance(done.error, PictureError) and strict:
                raise done.error
            elif done.error is not None:
                _say_error(done)
            else:
                brought.append(done.result)
        store.refresh()
        left = [replace(each, samples=tuple(s for s in each.samples if s not in deadly)) for each in errands]
        own = workbench.extracted(store, left, strict=strict, patience=patience, progress=self.progress)
        all_done = together([own, *brought])
        failed = own.failed + tuple(PictureError(sample.image, DIED) for sample in sorted(deadly, key=str))
        seconds = time.monotonic() - started
        there = len(frozenset(sample for each in errands for sample in each.samples) - wanted)
        return workbench.said(store, replace(all_done, already_there=there, failed=failed, seconds=seconds))

    def compute(self, words: BenchWords, bench: Bench) -> Computed:
        """Have computed what a bench lacks, as far as it can be; the rows are kept. Raises as `Bench.check` does.

        With `fail_fast` the first error is raised.
        """
        started, found = time.monotonic(), Computed()
        bench.check()
        lacking = sorted(bench.lacking(), key=str)
        agenda = Agenda(bench_jobs(words, lacking, bench.entrants, self.workers), methods_apart, found.fit)
        jobs = agenda.count
        for number, done in enumerate(self._through(agenda, 0), start=1):
            if done.died:
                logger.warning("%s %s", DIED, ", ".join(done.job.what.methods))
                found.bury(done.job, lacking)
            elif done.error is not None:
                if bench.plan.fail_fast:
                    raise done.error
                _say_error(done)
            else:
                found.take(done.result)
            self.progress("jobs", min(number, jobs), jobs)
        found.left = agenda.left
        if lacking:
            took = duration(time.monotonic() - started)
            logger.info("computed %s in %s by %s", counted(found.cells, "cell"), took, counted(self.workers, "worker"))
        return found

    def _through(self, agenda: Agenda, total: int) -> Iterator[Done]:
        """Have the jobs of an agenda done, and tell of pictures how many are done of all."""
        reached = dict[str, int]()

        def told(job: Job, done: int, of: int) -> None:
            if isinstance(job.what, Encoding):
                reached[str(job.what.shard)] = done
                self.progress("encode", min(total, sum(reached.values())), total)

        yield from carried_out(self.run, agenda, told)


def _say_error(done: Done) -> None:
    logger.warning("%s", f"{done.job.label}: {done.error}; what is lacking is done here")


@contextmanager
def foreman(executor: Executor, session: Steps, progress: Listener) -> Iterator[Foreman]:
    """What shares the work of a session as long as the block runs."""
    with executor.hired(Desk(session)) as run:
        yield Foreman(run, executor.workers, progress)
