"""From a job to its rows: the tower, what it lacks encoded, the bench."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackclip.benchmarks.curves import has_curve
from stackclip.benchmarks.entrant import Entrant, entrants_of, needed
from stackclip.benchmarks.intervals import has_draws
from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.runner import Outcome
from stackclip.cache import Store
from stackclip.errors import StackclipError
from stackclip.ops.words import agreed, counted, duration
from stackclip.papers.jobs import Job, fitting, say_lacking
from stackclip.session.progress import Listener
from stackclip.session.site import Site
from stackclip.session.work import Forecast
from stackclip.types import Part, Sample

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite

__all__ = ["Lineup", "compute", "forecast", "sparing"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True)
class Lineup:
    """A plan on a tower: who takes part there, and the pictures and parts that they read."""

    plan: Plan
    entrants: tuple[Entrant, ...]
    samples: tuple[Sample, ...]
    parts: frozenset[Part]

    @classmethod
    def of(cls, job: Job, site: Site) -> Lineup:
        """The plan of a job; of a suite's without the methods whose weights do not fit, which is said.

        Raises WeightsError where no method is left, or a method of one's own was given weights that do not fit.
        """
        plan, entrants = job.plan, entrants_of(job.plan, site.tower.spec)
        if job.suite is not None:
            plan, entrants = fitting(plan, entrants, job.suite.name)
        return cls(plan, entrants, *needed(plan, entrants))


@contextmanager
def sparing(job: Job, *errors: type[StackclipError]) -> Iterator[None]:
    """Say what a suite's job lacks, in place of raising it."""
    try:
        yield
    except errors as error:
        if job.suite is None:
            raise
        say_lacking({str(error): [job.suite.name]})


def compute(site: Site, lineup: Lineup, store: Store, *, overwrite: Overwrite, progress: Listener) -> Outcome:
    """Run a bench and say how many cells were computed."""
    started = time.monotonic()
    with site.bench(lineup.plan, lineup.entrants, store, overwrite=overwrite, progress=progress) as bench:
        outcome = bench.run()
    there, count = len(outcome.rows) - outcome.computed, len(outcome.rows)
    if overwrite == "never":
        logger.info("%d of %s %s there", there, counted(count, "cell"), agreed("are", there))
    elif outcome.computed:
        computed, took = counted(outcome.computed, "cell"), duration(time.monotonic() - started)
        logger.info("computed %s in %s; %d of %d %s there already", computed, took, there, count, agreed("were", there))
    else:
        every = "the cell was" if count == 1 else f"all {count} cells were"
        logger.info("nothing was left to compute: %s there already", every)
    return outcome


def forecast(site: Site, lineup: Lineup, *, again: bool, progress: Listener) -> Forecast:
    """What a bench would encode and how many cells it would compute; nothing is written."""
    plan = lineup.plan
    count = len(plan.resolved) * len(plan.seeds) * sum(len(dataset.categories) for dataset in plan.test_on)
    there = 0 if again else _finished(site, lineup, progress)
    planned, folder = site.planned(lineup.samples, lineup.parts), site.workspace.features
    return Forecast(planned, len(lineup.samples), folder, site.tower.spec.note, cells=count, missing=count - there)


def _finished(site: Site, lineup: Lineup, progress: Listener) -> int:
    """How many cells are there with all that is asked for."""
    plan = lineup.plan
    if site.found() is None:
        return 0
    with site.bench(plan, lineup.entrants, site.store(), overwrite="never", progress=progress) as bench:
        rows = [row for row in bench.run().rows if not row.error and has_curve(row, plan.eval_every)]
        return sum(not plan.ci or has_draws(row) for row in rows)
