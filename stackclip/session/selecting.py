"""A point of a grid is taken by folds of the training sets, trained on all of them, and tested once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from stackclip.benchmarks.plan import resolved
from stackclip.benchmarks.selected import Selected
from stackclip.benchmarks.sets import of_the_same_table
from stackclip.defaults import MOST_POINTS
from stackclip.errors import StackclipError
from stackclip.ops.files import file_hash
from stackclip.ops.progress import Listener, silent
from stackclip.ops.words import counted, few_of
from stackclip.papers.contests import Contest
from stackclip.registry import spread_out, stay_with
from stackclip.session.answers import Answers
from stackclip.session.conditions import Names, names_of
from stackclip.session.question import Question, choice_in, question_of
from stackclip.session.rows import BenchRows
from stackclip.session.steps import Steps
from stackclip.studies.choice import choose
from stackclip.studies.folds import Contents, fold_plans
from stackclip.studies.schemes import grids_among
from stackclip.types import Row, Sample

if TYPE_CHECKING:
    from stackclip.session.work import Forecast

__all__ = ["Choosing", "Selecting", "SelectionForecast"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True, slots=True)
class SelectionForecast:
    """What a selection would encode and compute: in the benches of its `folds`, and `at_most` so many cells after."""

    of_folds: Forecast
    folds: int
    at_most: int

    @property
    def encoding(self) -> str:
        """What would be encoded, in a sentence."""
        return self.of_folds.encoding

    @property
    def note(self) -> str:
        """What the tower has to have said of it."""
        return self.of_folds.note

    @property
    def time(self) -> str:
        """How long the folds take, in a sentence; empty where nothing is computed in them."""
        return self.of_folds.time

    @property
    def computing(self) -> str:
        """Which cells would be computed, in a sentence."""
        after = f"then at most {counted(self.at_most, 'cell')} of test sets"
        return f"to select by {counted(self.folds, 'fold')}: {self.of_folds.computing}; {after}"


Asked = tuple[str, int]
"""The name of a grid, and a seed."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Why no point of a grid could be taken with a seed, and how many normal pictures its points are shown."""

    why: str
    shots: int | Literal["all"]


@dataclass(frozen=True, slots=True)
class Choices:
    """Which point of each grid was taken with each seed, and why none could be."""

    taken: Mapping[Asked, Selected]
    lost: Mapping[Asked, Lost]

    @classmethod
    def of(cls, question: Question, folds: Mapping[int, Sequence[tuple[Row, ...]]]) -> Choices:
        """By the rows of the folds of each seed. Raises StackclipError where nothing is left to be compared."""
        taken, lost = dict[Asked, Selected](), dict[Asked, Lost]()
        for grid in question.grids:
            for seed, rows in folds.items():
                try:
                    found = choose(grid, rows, seed, question.choice.scheme, question.choice.criterion)
                    taken[grid.name, seed] = found
                except StackclipError as error:
                    shots = next((row.shots for row in chain(*rows) if row.method in grid.specs), 0)
                    lost[grid.name, seed] = Lost(str(error), shots)
        if lost and not taken and not question.others:
            raise StackclipError(next(iter(lost.values())).why)
        return cls(taken, lost)


@dataclass(frozen=True)
class Selecting:
    """The answer to a question in a session. While points are compared no picture of a test set is looked at."""

    session: Steps
    question: Question

    @cached_property
    def folds(self) -> tuple[Contest, ...]:
        """The benches by which points are compared. Raises UsageError where the training sets cannot be divided."""
        question, outer = self.question, self.question.contest
        plans = fold_plans(outer.plan, question.points, question.choice.scheme, self._contents)
        return tuple(Contest(plan, _texts(plan.train_on + plan.test_on, outer), outer.tower) for plan in plans)

    def choices(self, **how: Any) -> tuple[Choices, BenchRows]:
        """The point of each grid with each seed, and what became of the benches without their rows.

        Raises as `Session.bench` does, and where no method is no grid and no point of any can be taken.
        """
        question, found, counts = self.question, list[tuple[Row, ...]](), BenchRows()
        for number, contest in enumerate(self.folds, 1):
            tested = few_of(dataset.name for dataset in contest.plan.test_on)
            logger.info("%s, %d of %d: tested on %s", question.choice.scheme, number, len(self.folds), tested)
            rows = self.session.run(contest, **how)
            found.append(rows.rows)
            counts += replace(rows, rows=(), sidecars=None)
        return Choices.of(question, {seed: self._of_seed(found, seed) for seed in question.contest.plan.seeds}), counts

    def run(
        self, *, executor: str = "serial", trackers: Names = (), progress: Listener = silent, **how: Any
    ) -> BenchRows:
        """The rows of methods that are no grid's, and of each grid one a cell, of the point that was taken.

        Trackers are told of these; the same processes serve all benches. Raises as `choices` does.
        """
        self.session.check_executor(executor)
        with self.session.hired(executor, progress) as hired:
            return self._run(trackers, {"executor": hired or "serial", "progress": progress, **how})

    def _run(self, trackers: Names, how: Mapping[str, Any]) -> BenchRows:
        chosen, rows = self.choices(**how)
        question = self.question
        if question.others:
            rows += self.session.run(question.part(question.others), trackers=trackers, **how)
        rows += self._tested(chosen.taken, trackers, how)
        if chosen.lost:
            rows += self._lost(chosen, rows.rows, trackers, how)
        if question.choice.hindsight:
            rows += replace(self.session.run(question.part(question.points), **how), rows=())
        place = {name: at for at, name in enumerate(question.names)}
        return replace(rows, rows=tuple(sorted(rows.rows, key=lambda row: place[row.method])))

    def forecast(self, **how: Any) -> SelectionForecast:
        """What `run` would encode and compute; nothing is written."""
        from stackclip.session.benches import Lineup, forecast

        question = self.question
        workbench = self.session.workbench(question.contest.tower)
        again = how.get("overwrite") == "always"
        also = Lineup.of(question.contest, workbench).errands
        found = forecast(workbench, [Lineup.of(each, workbench) for each in self.folds], again=again, also=also)
        tested = sum(len(dataset.categories) for dataset in question.contest.plan.test_on)
        methods = len(question.points if question.choice.hindsight else question.grids) + len(question.others)
        return SelectionForecast(found, len(self.folds), tested * methods * len(question.contest.plan.seeds))

    def _tested(self, taken: Mapping[Asked, Selected], trackers: Names, how: Mapping[str, Any]) -> BenchRows:
        """The rows of the points that were taken, under the names of their grids."""
        plan, rows = self.question.contest.plan, BenchRows()
        for stop, seeds, specs in _trainings(taken.values()):
            changed = {"seeds": seeds, "stop_after": stop or plan.stop_after}
            changed |= {"eval_every": None} if self.question.choice.criterion.epochs else {}
            measured = self.session.run(self.question.part(specs, **changed), **how)
            answers = self._answers(how)
            kept = [
                answers.kept(row, name, each)
                for (name, _), each in taken.items()
                for row in measured
                if (row.method, row.seed) == (each.spec, each.seed) and each.stop_after == stop
            ]
            untold = answers.tell(kept, names_of(trackers))
            unkept = measured.unkept + answers.unkept
            rows += replace(measured, rows=tuple(kept), unkept=unkept, untold=untold)
        return rows

    def _lost(self, chosen: Choices, beside: Sequence[Row], trackers: Names, how: Mapping[str, Any]) -> BenchRows:
        """The rows of grids of which no point could be taken, each with the reason, in the cells `beside` them."""
        cells = {(row.test_on, row.category): row for row in beside}
        trained = tuple(dataset.name for dataset in self.question.contest.plan.train_on)
        rows = [
            Row(name, trained, *cell, lost.shots, seed, error=lost.why, facts=of_the_same_table(row))
            for (name, seed), lost in chosen.lost.items()
            for cell, row in cells.items()
        ]
        return BenchRows(tuple(rows), untold=self._answers(how).tell(rows, names_of(trackers)))

    def _answers(self, how: Mapping[str, Any]) -> Answers:
        return Answers(self.session, self.question.contest, how.get("overwrite", "only-missing"))

    def _of_seed(self, found: Iterable[tuple[Row, ...]], seed: int) -> list[tuple[Row, ...]]:
        return [rows for contest, rows in zip(self.folds, found, strict=True) if seed in contest.plan.seeds]

    @property
    def _contents(self) -> Contents:
        """What names the content of training pictures; where there is no store yet they are read for it."""
        store = self.session.workbench(self.question.contest.tower).found()
        return _read if store is None else store.digests


def _read(samples: Sequence[Sample]) -> list[str | None]:
    return [file_hash(sample.image) if sample.image.is_file() else None for sample in samples]


def _texts(parts: Iterable[Any], outer: Contest) -> dict[str, str]:
    """Parts of data sets as these are typed, by their names."""
    return {part.name: outer.texts[part.samples[0].dataset] for part in parts}


def _trainings(chosen: Iterable[Selected]) -> Iterator[tuple[int | None, tuple[int, ...], tuple[str, ...]]]:
    """What is trained together: up to the same epoch, with the same seeds, of each seed all points that were taken."""
    of_seed: dict[tuple[int | None, int], dict[str, None]] = {}
    for each in chosen:
        of_seed.setdefault((each.stop_after, each.seed), {})[each.spec] = None
    together: dict[tuple[int | None, tuple[str, ...]], list[int]] = {}
    for (stop, seed), specs in of_seed.items():
        together.setdefault((stop, tuple(specs)), []).append(seed)
    yield from ((stop, tuple(seeds), specs) for (stop, specs), seeds in together.items())


class Choosing(Steps):
    """Selects points of grids; a session is one."""

    def selecting(
        self, methods: Names, *, categories: Sequence[str] = (), most_points: int = MOST_POINTS, **words: Any
    ) -> Selecting | None:
        """A selection that was not run yet, of what `bench` is told; None where nothing is selected.

        Raises as `bench` does, UsageError for what cannot be selected by, and where there is nothing to select.
        """
        choice = choice_in(words)
        if choice is None:
            return None
        names = names_of(methods)
        stay_with(self.workspace.registry)
        resolved(spread_out(names, most_points))  # a wrong name, and what is no grid, before data sets are opened
        grids_among(names)
        contest = self.contest(names, categories=categories, most_points=most_points, **words)
        return Selecting(self, question_of(contest, names, choice))
