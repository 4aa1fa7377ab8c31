"""Studies: the runs of suites one after another, and what each of their sections found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Unpack

from stackclip.ops.progress import Listener, silent
from stackclip.ops.shards import Shard
from stackclip.papers.contests import Contest, printed_beside
from stackclip.papers.runs import Run
from stackclip.papers.suites import Suite
from stackclip.reports.document import Document
from stackclip.reports.study import StudyQuestion
from stackclip.session.conditions import SuiteWords
from stackclip.session.jobs import sharded
from stackclip.session.rows import BenchRows
from stackclip.session.steps import Steps

__all__ = ["Section", "Studies"]


@dataclass(frozen=True)
class Section:
    """Runs of a suite that belong together: those of one title, or all that have none; and their rows."""

    suite: Suite
    run: Run
    contests: tuple[Contest, ...]
    rows: BenchRows = field(default_factory=BenchRows)

    @property
    def question(self) -> StudyQuestion:
        """What a page shows of it."""
        return StudyQuestion(self.run.title or self.suite.title, self.document, self.run.asks, self.run.says)

    @property
    def document(self) -> Document:
        """The rows as tables, with what papers print of them."""
        plan, run, suite = self.contests[0].plan, self.run, self.suite
        printed = printed_beside(self.contests, (suite,)) if suite.source else None
        return Document(
            self.rows,
            per_category=run.per_category,
            metrics=run.shows or suite.shows,
            published=replace(printed, lines=suite.published) if printed else None,
            ci=plan.ci,
            per_defect=plan.per_defect,
            over_shots=suite.over_shots,
            find=self.rows.find,
        )


class Studies(Steps):
    """Suites as studies."""

    def sections(
        self,
        suites: Sequence[Suite],
        *,
        paper_tower: bool = False,
        categories: Collection[str] = (),
        shard: str | None = None,
        **words: Unpack[SuiteWords],
    ) -> list[Section]:
        """What studies consist of, before anything runs; what they lack is logged. Raises as `suite_contests`.

        A `shard`, `2/8`, is the second of eight parts of the methods and seeds of all sections together.
        """
        contests = self.suite_contests(suites, paper_tower=paper_tower, categories=categories, **words)
        return list(_sections(sharded(contests, Shard.parse(shard)) if shard else contests))

    def answered(
        self, section: Section, *, executor: str = "serial", progress: Listener = silent, **how: Any
    ) -> Section:
        """A section with its rows; those that are there already are not computed again. Raises as `run`."""
        found = (self.run(each, executor=executor, progress=progress, **how) for each in section.contests)
        return replace(section, rows=sum(found, BenchRows()))


def _sections(contests: Iterable[Contest]) -> Iterable[Section]:
    def place(contest: Contest) -> tuple[str, str]:
        return (contest.suite.name if contest.suite else "", contest.run.title if contest.run else "")

    for _, alike in groupby(contests, key=place):
        several = tuple(alike)
        suite, run = several[0].suite, several[0].run
        if suite is not None and run is not None:
            yield Section(suite, run, several)
