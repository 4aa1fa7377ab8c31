"""From a contest of methods to its rows: the tower, what it lacks encoded, the bench."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from stackclip.benchmarks.breakdown import has_kinds
from stackclip.benchmarks.curves import has_curve
from stackclip.benchmarks.entrant import Entrant, Errand, entrants_of, errands_of
from stackclip.benchmarks.intervals import has_draws
from stackclip.benchmarks.pace import Expected, Pace
from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import unheard
from stackclip.benchmarks.sidecars import Sidecars
from stackclip.cache import Store
from stackclip.errors import StackclipError
from stackclip.ops.progress import Listener
from stackclip.ops.words import agreed, counted, duration
from stackclip.papers.contests import Contest, fitting, say_lacking
from stackclip.session.rows import BenchRows
from stackclip.session.work import Forecast
from stackclip.session.workbench import Workbench
from stackclip.types import Part, Row, Sample

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Outcome, Overwrite
    from stackclip.session.apart import Foreman
    from stackclip.session.jobs import BenchWords

__all__ = ["Lineup", "forecast", "joined_errands", "rows_by", "rows_of", "sparing"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True)
class Lineup:
    """A plan on a tower: who takes part there, and which parts of which pictures they read."""

    plan: Plan
    entrants: tuple[Entrant, ...]
    errands: tuple[Errand, ...]

    @classmethod
    def of(cls, contest: Contest, workbench: Workbench) -> Lineup:
        """The plan of a contest; of a suite's without the methods whose weights do not fit, which is said.

        Raises WeightsError where no method is left, or a method of one's own was given weights that do not fit.
        """
        plan, entrants = contest.plan, entrants_of(contest.plan, workbench.tower.spec)
        if contest.suite is not None:
            plan, entrants = fitting(plan, entrants, contest.suite.name)
        return cls(plan, entrants, errands_of(plan, entrants))

    def only(self, specs: Iterable[str]) -> Lineup | None:
        """Some of the methods, if there are any."""
        chosen = frozenset(specs)
        entrants = tuple(each for each in self.entrants if each.spec in chosen)
        plan = replace(self.plan, methods=tuple(each.spec for each in entrants)) if entrants else self.plan
        return Lineup(plan, entrants, self.errands) if entrants else None


@contextmanager
def sparing(contest: Contest, *errors: type[StackclipError]) -> Iterator[None]:
    """Say what a suite's contest lacks, in place of raising it."""
    try:
        yield
    except errors as error:
        if contest.suite is None:
            raise
        say_lacking({str(error): [contest.suite.name]})


def rows_of(
    workbench: Workbench,
    lineup: Lineup,
    store: Store,
    *,
    overwrite: Overwrite,
    progress: Listener,
    told: Callable[[Row], None] = unheard,
) -> BenchRows:
    """The rows of a contest whose pictures are encoded; how many are new is said. Raises CategoryOverlap."""
    started = time.monotonic()
    how: dict[str, Any] = {"overwrite": overwrite, "progress": progress, "told": told}
    with workbench.bench(lineup.plan, lineup.entrants, store, **how) as bench:
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
    return _found(workbench, outcome, outcome.computed)


def rows_by(
    shared: Foreman,
    words: BenchWords,
    workbench: Workbench,
    lineup: Lineup,
    store: Store,
    *,
    progress: Listener,
    told: Callable[[Row], None] = unheard,
) -> BenchRows:
    """The same, computed by processes; what they left undone is computed here. Raises as `Foreman.compute` does."""
    plan, entrants, overwrite = lineup.plan, lineup.entrants, words.overwrite
    with workbench.bench(plan, entrants, store, overwrite=overwrite) as bench:
        found = shared.compute(words, bench)
    store.look_again()  # that took its time
    again: Overwrite = overwrite if found.left else "only-missing"
    how: dict[str, Any] = {"overwrite": again, "progress": progress, "failed": found.failed, "told": told}
    with workbench.bench(plan, entrants, store, **how) as bench:
        outcome = bench.run()
    return _found(workbench, outcome, found.cells + outcome.computed)


def _found(workbench: Workbench, outcome: Outcome, computed: int) -> BenchRows:
    sidecars = Sidecars(RowFolder(workbench.workspace.rows))
    return BenchRows(tuple(outcome.rows), computed, outcome.unkept, sidecars=sidecars)


def forecast(workbench: Workbench, lineups: Sequence[Lineup], *, again: bool, also: Sequence[Errand] = ()) -> Forecast:
    """What benches would encode, `also` for others, and how many cells they would compute; nothing is written."""
    count = sum(_cells(each.plan) for each in lineups)
    errands = joined_errands([*(errand for each in lineups for errand in each.errands), *also])
    store, folder = workbench.found(), workbench.workspace.features
    with nullcontext() if store is None else store.one_look():
        rows = [[] if again or store is None else _there(workbench, each, store) for each in lineups]
        planned = workbench.planned(errands, store)
    there = [[row for row in some if _complete(row, each.plan)] for each, some in zip(lineups, rows, strict=True)]
    how: dict[str, Any] = {"cells": count, "missing": count - sum(map(len, there))}
    earlier = (entry.row for entry in RowFolder(workbench.workspace.rows).entries(aloud=False))
    pace = Pace.of(earlier, workbench.tower.spec)
    how["expected"] = reduce(add, (_expected(pace, *each) for each in zip(lineups, rows, there, strict=True)))
    pictures = sum(len(each.samples) for each in errands)
    return Forecast(planned, pictures, folder, workbench.tower.spec.note, **how)


def _cells(plan: Plan) -> int:
    return len(plan.resolved) * len(plan.seeds) * sum(len(dataset.categories) for dataset in plan.test_on)


def joined_errands(errands: Iterable[Errand]) -> list[Errand]:
    """What errands read of each picture together: each once, among those of which the same is read."""
    wanted = dict[Sample, frozenset[Part]]()
    for errand in errands:
        wanted |= {sample: wanted.get(sample, frozenset()) | errand.parts for sample in errand.samples}
    alike = dict[frozenset[Part], list[Sample]]()
    for sample, parts in wanted.items():
        alike.setdefault(parts, []).append(sample)
    return [Errand(tuple(some), parts) for parts, some in alike.items()]


def _expected(pace: Pace, lineup: Lineup, rows: Sequence[Row], there: Sequence[Row]) -> Expected:
    """How long the cells will take that are not `there`; a method with any of the `rows` for a seed has learned."""
    plan = lineup.plan
    works = [entrant.spec for entrant in lineup.entrants if not entrant.why_not]
    places = [(dataset.name, category) for dataset in plan.test_on for category in dataset.categories]
    every = {(spec, *place, seed) for spec in works for place in places for seed in plan.seeds}
    lacking = every - {(row.method, row.test_on, row.category, row.seed) for row in there}
    learned = {(row.method, row.seed) for row in rows}
    return pace.expected(plan, lacking, learned)


def _there(workbench: Workbench, lineup: Lineup, store: Store) -> list[Row]:
    """The rows that are there, whatever they lack."""
    with workbench.bench(lineup.plan, lineup.entrants, store, overwrite="never") as bench:
        return [row for row in bench.run().rows if not row.error]


def _complete(row: Row, plan: Plan) -> bool:
    """Whether a row has all that is asked for."""
    has_all = (not plan.ci or has_draws(row)) and (not plan.per_defect or has_kinds(row))
    return has_all and has_curve(row, plan.eval_every)
