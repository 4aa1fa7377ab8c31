"""A study as a page: for each question its table, its plots and the answer, all of them rebuilt from rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import distinct, latest_key
from stackclip.ops.words import counted, duration
from stackclip.reports.document import Document
from stackclip.reports.exhibits import Finder
from stackclip.reports.heat_plot import draw_heat
from stackclip.reports.parts_files import parts_written
from stackclip.reports.parts_plot import draw_ablation
from stackclip.reports.parts_report import PartsReport
from stackclip.reports.plot import draw_curves
from stackclip.reports.rank_plot import draw_ranks
from stackclip.reports.shot_plot import draw_shots
from stackclip.reports.transfer_plot import draw_transfer
from stackclip.reports.writers.markdown import Markdown, marked
from stackclip.types import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["StudyPage", "StudyQuestion"]


@dataclass(frozen=True)
class StudyQuestion:
    """A section of a study: its title, what was `told` by rows, what it asks, and what its author says to that."""

    title: str
    told: Document | PartsReport
    asks: str = ""
    says: str = ""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows that tell it."""
        return self.told.rows

    @property
    def markdown(self) -> str:
        """What they tell, as Markdown."""
        return parts_written(self.told, ".md") if isinstance(self.told, PartsReport) else Markdown().write(self.told)

    @property
    def plots(self) -> Mapping[str, Callable[[], Figure]]:
        """What can be drawn of it, by the word for it."""
        return dict(self._plots())

    def _plots(self) -> Iterator[tuple[str, Callable[[], Figure]]]:
        told = self.told
        if isinstance(told, PartsReport):
            if any(each.pictures for each in told.worths):
                yield "parts", lambda: draw_ablation(told)
            return
        if told.transfer:
            yield "transfer", lambda: draw_transfer(told.transfers)
        elif told.over_shots and told.shot_curves:
            yield "shots", lambda: draw_shots(told.shot_curves)
        elif told.charts:
            yield "curves", lambda: draw_curves(told.charts)
        if not told.transfer and (maps := told.heat_maps()):
            yield "grid", lambda: draw_heat(maps)
        if told.rankings:
            yield "ranks", lambda: draw_ranks(told.rankings)


@dataclass(frozen=True)
class StudyPage:
    """The sections of a study, below its title and a remark; what it was `lacking` is why others are not answered."""

    title: str
    remark: str
    questions: Sequence[StudyQuestion]
    lacking: Sequence[str] = ()

    @cached_property
    def plots(self) -> Mapping[str, Callable[[], Figure]]:
        """All plots by the names of their files, without suffix: `2-grid-of-heads-curves`."""
        return {
            f"{number}-{_slug(question.title)}-{word}": draw
            for number, question in enumerate(self.questions, 1)
            for word, draw in question.plots.items()
        }

    @cached_property
    def document(self) -> Document:
        """The rows of all sections, of those that answer one question the last alone."""
        return Document(distinct(self._rows), find=self._find)

    @cached_property
    def every(self) -> Document:
        """All different rows: of a cell of a grid those of all choices."""
        found: dict[tuple[object, ...], Row] = {}
        for row in self._rows:
            selected = facts_of(row).selected
            found[(*latest_key(row), facts_of(row).words, selected)] = row
        return Document([*found.values()], find=self._find)

    @property
    def _rows(self) -> Iterator[Row]:
        return (row for question in self.questions for row in question.rows)

    @property
    def _find(self) -> Finder | None:
        found = (each.told.find for each in self.questions if isinstance(each.told, Document))
        return next((each for each in found if each), None)

    def markdown(self) -> str:
        """The page, which shows plots that lie beside it as PNG."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from (f"# {marked(self.title)}", "")
        if self.remark:
            yield from (marked(self.remark), "")
        for number, question in enumerate(self.questions, 1):
            yield from (f"## {marked(question.title)}", "")
            yield from ((f"*{marked(question.asks)}*", "") if question.asks else ())
            yield from ((marked(question.says), "") if question.says else ())
            yield question.markdown
            for name in self.plots:
                if name.startswith(f"{number}-"):
                    yield from (f"![{marked(question.title)}]({name}.png)", "")
        if self.lacking:
            yield from ("## Not answered", "", "This was lacking:", "")
            yield from (*(f"- {marked(each)}" for each in self.lacking), "")
        yield self.cost

    @property
    def cost(self) -> str:
        """How many rows there are, and how long methods worked on them."""
        testing, training = 0.0, dict[object, float]()
        for row in self.every.rows:
            facts = facts_of(row)
            testing += row.seconds
            training[row.method, row.train_on, row.seed, facts.features, facts.protocol] = facts.train_seconds
        took = duration(testing + sum(training.values()))
        return f"{counted(len(self.every.rows), 'row')}; methods learned and predicted for {took} in all.\n"


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].rstrip("-")
