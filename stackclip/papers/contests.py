"""Suites as contests of methods: what of them the data, methods and towers at hand allow, and what they lack."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.plan import Plan, check_plan
from stackclip.data import Dataset
from stackclip.errors import StackclipError, UnknownComponent, UsageError, WeightsError
from stackclip.methods import method_names
from stackclip.ops.typed import chosen
from stackclip.papers.catalogue import Catalogue
from stackclip.papers.published import Lookup, published
from stackclip.papers.runs import Run, merged, redirected
from stackclip.papers.suites import Suite
from stackclip.registry import Spec, did_you_mean
from stackclip.studies.wordings import wordings_of

__all__ = [
    "Contest",
    "Request",
    "Teller",
    "contests_of",
    "fitting",
    "lacking_of",
    "printed_beside",
    "say_lacking",
    "worded",
]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True)
class Contest:
    """A bench as it was asked for: its plan, its suite, if any, and what its tower has otherwise than the session's.

    `texts` are data sets as they are typed, by their names. `run` is what it is of its suite.
    """

    plan: Plan
    texts: Mapping[str, str]
    tower: Mapping[str, Any] = field(default_factory=dict)
    suite: Suite | None = None
    run: Run | None = None


def worded(contest: Contest, draws: int) -> list[Contest]:
    """A bench in the words as they are, and in so many draws of equivalent ones. Raises UsageError for no number."""
    return [replace(contest, plan=plan) for plan in wordings_of(contest.plan, draws)]


@dataclass(frozen=True)
class Request:
    """How suites are to run: with other fields of their runs (`runs`), on some categories, under conditions (`plan`).

    With `paper_tower` each run has the tower of its paper, but for the fields in `own_tower`.
    """

    runs: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    categories: Collection[str] = ()
    paper_tower: bool = False
    own_tower: Collection[str] = ()

    @classmethod
    def of(cls, words: Mapping[str, Any], **facts: Any) -> Request:
        """The request of `words` that name fields of runs or conditions; `facts` are the other fields."""
        of_runs = {each.name for each in fields(Run)}
        runs = {name: value for name, value in words.items() if name in of_runs}
        return cls(runs, {name: value for name, value in words.items() if name not in of_runs}, **facts)


def contests_of(
    suites: Sequence[Suite], catalogue: Catalogue, request: Request, tell: Teller | None = None
) -> list[Contest]:
    """The benches of suites that can run; what they lack is said in one line for each thing, by `tell` if given."""
    contests: list[Contest] = []
    lacking: dict[str, list[str]] = {}
    for suite in suites:
        one = _OneSuite(suite, catalogue, request)
        contests += one.contests()
        for what in one.lacking:
            lacking.setdefault(what, []).append(suite.name)
    (tell or say_lacking)(lacking)
    return contests


def fitting(plan: Plan, entrants: tuple[Entrant, ...], suite: str) -> tuple[Plan, tuple[Entrant, ...]]:
    """The plan without the methods whose weights do not fit the tower; what they lack is said.

    Raises WeightsError where no method is left.
    """
    unfit = {each.spec: each.why_not for each in entrants if isinstance(each.why_not, WeightsError)}
    fit = tuple(each for each in entrants if each.spec not in unfit)
    if not fit:
        raise next(iter(unfit.values()))
    say_lacking({f"{spec}: {error}": [suite] for spec, error in unfit.items()})
    return replace(plan, methods=tuple(each.spec for each in fit)), fit


def printed_beside(contests: Iterable[Contest], suites: Sequence[Suite] = ()) -> Lookup:
    """What is printed of suites, or of everything, with the families of the data sets that were read."""
    read = [dataset for contest in contests for dataset in (*contest.plan.train_on, *contest.plan.test_on)]
    families = {dataset.name: dataset.family for dataset in read}
    if not suites:
        return Lookup(families=families)
    wanted = {id(line) for suite in suites for line in suite.published}
    lines = tuple(line for line in published() if id(line) in wanted)
    return Lookup(lines=lines, families=families, any_training=True)


Teller = Callable[[Mapping[str, Sequence[str]]], None]
"""Told what is lacking, with the names of the suites that want it."""


def say_lacking(lacking: Mapping[str, Sequence[str]]) -> None:
    """One line for each thing that suites lack: `lacking` has their names by what it is."""
    for what, suites in lacking.items():
        first = what.partition("\n")[0]  # trees of folders would follow
        logger.warning("%s", f"lacking for {', '.join(suites)}: {first}")


def lacking_of(run: Run, what: object) -> str:
    """What a run lacks, in words; behind its title where it has one."""
    return f"{run.title}: {what}" if run.title else str(what)


class _OneSuite:
    """The benches of a suite that can run; `lacking` has a line for each thing that the others want."""

    def __init__(self, suite: Suite, catalogue: Catalogue, request: Request) -> None:
        self.suite, self.catalogue, self.request = suite, catalogue, request
        self.lacking: dict[str, None] = {}

    def contests(self) -> Iterator[Contest]:
        runs = redirected(self.suite.runs, **self.request.runs)
        if not (self.request.paper_tower or self.suite.towers):
            runs = merged(replace(run, tower=None) for run in runs)
        for run in runs:
            methods = tuple(self._known(run))
            plan = self._plan(replace(run, methods=methods)) if methods else None
            if plan is not None:
                texts = self.catalogue.texts
                whole = [self.catalogue.dataset(name).name for name in run.train_on]
                parts = {part.name: texts[name] for part, name in zip(plan.train_on, whole, strict=True)}
                yield Contest(plan, texts | parts, self._tower(run), self.suite, run)

    def _tower(self, run: Run) -> dict[str, Any]:
        facts = run.tower.facts if run.tower else {}
        return {name: value for name, value in facts.items() if name not in self.request.own_tower}

    def _lack(self, run: Run, what: object) -> None:
        self.lacking[lacking_of(run, what)] = None

    def _known(self, run: Run) -> Iterator[str]:
        for method in run.methods:
            try:
                self.catalogue.make((method,))
            except UnknownComponent:
                name = Spec.parse(method).name
                self._lack(run, f"no method is named {name}{did_you_mean(name, method_names())}")
            except StackclipError as error:
                self._lack(run, f"{method}: {error}")
            else:
                yield method

    def _plan(self, run: Run) -> Plan | None:
        train_on, test_on = self._opened(run, run.train_on), self._opened(run, run.test_on)
        if len(train_on) < len(run.train_on):
            return None
        try:
            train_on, test_on = [_part(dataset, run) for dataset in train_on], self._selected(test_on)
            return self._checked(run, train_on, test_on) if test_on else None
        except StackclipError as error:
            self._lack(run, error)
            return None

    def _checked(self, run: Run, train_on: Sequence[Dataset], test_on: Sequence[Dataset]) -> Plan:
        plan = Plan(
            methods=run.methods,
            resolved=self.catalogue.methods,
            train_on=tuple(train_on),
            test_on=tuple(test_on),
            seeds=run.seeds,
            shots=run.shots,
            epochs=run.epochs,
            batch_size=run.batch_size,
            train_shots=run.train_shots,
            eval_every=run.eval_every,
            **{"ci": run.ci, "per_defect": run.per_defect, **self.request.plan},
        )
        check_plan(plan)
        return plan

    def _opened(self, run: Run, names: Iterable[str]) -> list[Dataset]:
        found = []
        for name in names:
            try:
                found.append(self.catalogue.dataset(name))
            except StackclipError as error:
                self._lack(run, str(error).partition("\n")[0])
        return found

    def _selected(self, datasets: Sequence[Dataset]) -> list[Dataset]:
        """The categories that were asked for; data sets that have none of them are left out."""
        if not self.request.categories:
            return [*datasets]
        named = chosen(self.request.categories, {each for dataset in datasets for each in dataset.categories})
        some = [[each for each in dataset.categories if each in named] for dataset in datasets]
        return [data.select(categories=own) for data, own in zip(datasets, some, strict=True) if own]


def _part(dataset: Dataset, run: Run) -> Dataset:
    """The categories of a training set that a run trains on; a part has a name of its own in the rows."""
    kept = [
        each
        for each in dataset.categories
        if (not run.train_categories or each in run.train_categories) and each not in run.train_without
    ]
    for each in (*run.train_categories, *run.train_without):
        if each not in dataset.categories:
            raise UsageError(f"{dataset.name} has no category {each}, which the suite trains on or leaves out")
    if len(kept) == len(dataset.categories):
        return dataset
    some = run.train_categories or run.train_without
    name = f"{dataset.name} ({'only' if run.train_categories else 'without'} {', '.join(some)})"
    return replace(dataset.select(categories=kept), name=name)
