"""Studies: the questions of a file one after another, and what each of them found."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import groupby
from typing import Any, Unpack, cast

from stackclip.benchmarks.sets import distinct
from stackclip.errors import StackclipError, UsageError
from stackclip.papers.contests import Contest, Teller, lacking_of, printed_beside, say_lacking, worded
from stackclip.papers.runs import Run, merged, redirected
from stackclip.papers.suites import Suite
from stackclip.reports.columns import columns_named
from stackclip.reports.document import Document
from stackclip.reports.parts_report import PartsReport
from stackclip.reports.study import StudyQuestion
from stackclip.session.ablating import Ablating
from stackclip.session.conditions import Conditions, SuiteWords
from stackclip.session.recipe import changed_fields
from stackclip.session.rows import BenchRows
from stackclip.session.selecting import Choosing
from stackclip.session.together import Together
from stackclip.session.transferring import Transferring
from stackclip.studies.ablation import Ablation
from stackclip.studies.ranks import RankQuestion

__all__ = ["Section", "Studies"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True)
class Section:
    """A question of a suite: runs of one title, or all that have none; where they are run, and their rows.

    `ablation` says what the benches are of, where it is that.
    """

    suite: Suite
    run: Run
    benches: Together
    ablation: Ablation | None = None
    rows: BenchRows = field(default_factory=BenchRows)

    @property
    def question(self) -> StudyQuestion:
        """What a page shows of it."""
        run = self.run
        return StudyQuestion(run.title or self.suite.title, self.told, run.asks, run.says)

    @property
    def told(self) -> Document | PartsReport:
        """The rows as tables, with what papers print of them."""
        metrics = columns_named(self.run.shows or self.suite.shows)
        if self.ablation is not None:
            return PartsReport(self.ablation, self.rows, metrics)
        run, suite = self.run, self.suite
        printed = printed_beside(self.benches.contests, (suite,)) if suite.source else None
        return Document(
            self.rows,
            per_category=run.per_category,
            metrics=metrics,
            published=replace(printed, lines=suite.published) if printed else None,
            ci=run.has_intervals,
            ci_over=cast(Any, run.ci_over),
            ranks=RankQuestion(cast(Any, run.ranks)) if run.ranks else None,
            per_defect=run.per_defect,
            over_shots=suite.over_shots,
            transfer=self.benches.transfer,
            find=self.rows.find,
            known=self.rows.known,
        )

    def answered(self, **how: Any) -> Section:
        """The section with its rows; those that are there already are not computed again. Raises as `Session.run`."""
        found = self.benches.run(**how)
        return replace(self, rows=replace(found, rows=tuple(distinct(found))))


class Studies(Ablating, Transferring, Choosing):
    """Suites as studies."""

    def sections(
        self,
        suites: Sequence[Suite],
        *,
        paper_tower: bool = False,
        categories: Collection[str] = (),
        shard: str | None = None,
        writes: bool = True,
        lacks: list[str] | None = None,
        **words: Unpack[SuiteWords],
    ) -> list[Section]:
        """What studies consist of, before anything runs. Raises as `suite_contests`.

        What they lack is logged, and put into `lacks`.

        A `shard`, `2/8`, is the second of eight parts of the methods and seeds of each question.
        """
        found, tell = list[Section](), partial(_tell_lacking, lacks)
        for suite in suites:
            _check_columns(suite)
            for plain, runs in groupby(suite.runs, key=lambda run: run.is_plain):
                if plain:
                    part = replace(suite, runs=tuple(runs))
                    how: dict[str, Any] = {"paper_tower": paper_tower, "categories": categories, "tell": tell, **words}
                    found += _sections(self, suite, self.suite_contests([part], **how))
                else:
                    asked: dict[str, Any] = {name: value for name, value in words.items() if name in _OF_RUNS}
                    moved = (run for own in runs for run in redirected([own], **_meant_for(own, asked)))
                    found += (
                        each
                        for run in merged(moved)
                        for each in self._special(
                            suite, run, tuple(categories), writes, paper_tower=paper_tower, tell=tell
                        )
                    )
        parts = (replace(each, benches=each.benches.part(shard)) for each in found)
        return [each for each in parts if each.benches.contests]

    def _special(
        self, suite: Suite, run: Run, categories: tuple[str, ...], writes: bool, *, paper_tower: bool, tell: Teller
    ) -> Iterator[Section]:
        """The section of a run that is no bench as those of papers are; `tell` is told what it lacks."""
        own = changed_fields(self.backbone)
        tower = run.tower.facts if run.tower and (suite.towers or paper_tower) else {}
        place = self.on({name: value for name, value in tower.items() if name not in own})
        try:
            yield place._section(suite, run, categories, writes)
        except StackclipError as error:
            tell({lacking_of(run, error): [suite.name]})

    def _section(self, suite: Suite, run: Run, categories: tuple[str, ...], writes: bool) -> Section:
        conditions = _conditions(run)
        if run.transfer:
            named: dict[str, Any] = {"datasets": run.transfer, "categories": categories, "writes": writes}
            transfer, contests = self.transfer_contests(run.methods, **named, **conditions)
            return Section(suite, run, Together(self, contests, transfer=transfer))
        places: dict[str, Any] = {"train_on": run.train_on, "test_on": run.test_on, "categories": categories}
        if run.ablate:
            ablation, contest = self.ablation(run.ablate, **places, **{**conditions, "ci": True})
            return Section(suite, run, Together(self, [contest]), ablation)
        asked = {name: getattr(run, name) for name in ("select", "select_by", "select_rule", "hindsight")}
        if (selecting := self.selecting(run.methods, **places, **conditions, **asked)) is None:
            raise UsageError(f"{suite.name}: nothing is selected")
        return Section(suite, run, Together(self, [selecting.question.contest], selecting))


def _tell_lacking(lacks: list[str] | None, found: Mapping[str, Sequence[str]]) -> None:
    say_lacking(found)
    if lacks is not None:
        lacks += (what.partition("\n")[0] for what in found)


_OF_RUNS = {each.name for each in fields(Run)}


def _conditions(run: Run) -> dict[str, Any]:
    """What a run says that every bench may be told."""
    names = _OF_RUNS & Conditions.__annotations__.keys()
    return {name: value for name in names if (value := getattr(run, name)) is not None}


def _sections(session: Studies, suite: Suite, contests: Iterable[Contest]) -> Iterator[Section]:
    """Contests of one title together, each in the wordings that its run asks for."""
    for _, alike in groupby(contests, key=lambda contest: contest.run.title if contest.run else ""):
        several = list(alike)
        if (run := several[0].run) is not None:
            draws = [(each.run.prompt_jitter if each.run else None) or 0 for each in several]
            every = [each for one, count in zip(several, draws, strict=True) for each in worded(one, count)]
            yield Section(suite, run, Together(session, every))


def _check_columns(suite: Suite) -> None:
    """Raise UsageError for a metric that there is not, before anything is computed for it."""
    for shows in (suite.shows, *(run.shows for run in suite.runs)):
        try:
            columns_named(shows)
        except UsageError as error:
            raise UsageError(f"{suite.name}: {error}") from None


def _meant_for(run: Run, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of all runs and means something to this one; the rest is said."""
    others = ("methods",) if run.ablate else ("train_on", "test_on") if run.transfer else ()
    for name in (each for each in others if asked.get(each)):
        what = f"ablates {run.ablate}" if run.ablate else f"is a transfer between {', '.join(run.transfer)}"
        logger.warning("%s: %s, so no other %s", run.title or "a run without title", what, name.replace("_", " "))
    return {name: value for name, value in asked.items() if name not in others}
