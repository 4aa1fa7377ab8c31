"""The one model of what benches have to say, from which every writer takes what its readers want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from stackclip.benchmarks.curves import Chart, charts
from stackclip.benchmarks.intervals import Comparison, compare, intervals_of
from stackclip.benchmarks.words import as_they_are
from stackclip.papers.published import Lookup
from stackclip.reports.alike import ScoreFinder, methods_alike
from stackclip.reports.by_defect import kinds_table
from stackclip.reports.captions import notes_on_intervals
from stackclip.reports.choices import choice_notes
from stackclip.reports.columns import firsts_of, measured_of
from stackclip.reports.exhibits import Exhibit, Finder, exhibits_of
from stackclip.reports.fragments import document_html
from stackclip.reports.frames import frame_of_document
from stackclip.reports.heat import HeatMap, heat_maps
from stackclip.reports.notes import notes
from stackclip.reports.shots import ShotCurves, shot_curves
from stackclip.reports.table import METRICS, Summary, rows_of_tables, summarise
from stackclip.reports.transfer import transfer_notes, transfer_tables
from stackclip.reports.transfer_rows import TransferRows, transfer_rows
from stackclip.reports.words import in_other_words, only_in_other_words
from stackclip.studies.power import Effect, effect_of
from stackclip.studies.ranks import Ranking, RankQuestion, rank_lines, rankings
from stackclip.studies.significance import Correction, Inference, Over
from stackclip.studies.transfer import Transfer
from stackclip.types import Row

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Document", "Judging", "Sheet", "SheetLine"]


class Judging(TypedDict, total=False):
    """How differences are judged, in the words of a `Document`.

    `ci_over` (pictures, or categories), `correction` of p for the number of comparisons (holm, none), `power`
    (observed, or a difference in points of 100), and `ranks`.
    """

    ci_over: Over
    correction: Correction
    power: Effect
    ranks: RankQuestion | None


@dataclass(frozen=True)
class SheetLine:
    """A cell of a bench: its row, and that of the first method of its table for the same pictures, if it is another."""

    row: Row
    first: Row | None = None

    @cached_property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """The interval of each metric over pictures."""
        return intervals_of(self.row)

    @cached_property
    def differences(self) -> Mapping[str, Comparison]:
        """By how much the row is better than the first method's, by metric."""
        if self.first is None:
            return {}
        pair = (self.row, self.first)
        found = {name: compare(pair, self.row.method, self.first.method, name) for name in METRICS}
        return {name: comparison for name, comparison in found.items() if comparison}


@dataclass(frozen=True, slots=True)
class Sheet:
    """What spreadsheets and JSON lines hold: every cell; `ci` with intervals and differences over pictures."""

    cells: tuple[SheetLine, ...]
    ci: bool = False


@dataclass(frozen=True)
class Document:
    """Rows as people read them: tables, the notes under them, charts of training, and sheets of single cells.

    Each part is made once, when it is first asked for. `metrics` are the only ones that tables show, if given;
    `per_category` gives each category a line, `per_defect` adds tables by kind of defect, `published` puts printed
    numbers beside measured ones, `ci` adds intervals, and differences from the first method: over pictures, or over
    categories where `ci_over` says so, with p corrected for their number (`correction`: holm, none). With `over_shots`
    there is a table of each metric instead, over the normal pictures shown; with `transfer` there are tables of data
    sets by data sets, and the others behind them where something in these is asked for. `find` gives what was kept of a
    row's pictures. With `power` lines below the tables say what it takes to find the differences from the first method,
    or one of so many points; with `ranks` notes tell mean ranks. Rows that are `known` and not shown tell what other
    points of a grid came to. Raises UsageError for other words.
    """

    rows: Sequence[Row]
    per_category: bool = False
    metrics: Sequence[str] = ()
    published: Lookup | None = None
    ci: bool = False
    per_defect: bool = False
    over_shots: bool = False
    transfer: Transfer | None = None
    find: Finder | None = None
    known: Sequence[Row] = ()
    ci_over: Over = "pictures"
    correction: Correction = "holm"
    power: Effect = None
    ranks: RankQuestion | None = None

    def __post_init__(self) -> None:
        Inference(self.ci_over, self.correction)
        effect_of(self.power)

    @property
    def inference(self) -> Inference | None:
        """What intervals and tests are over, if there are any."""
        return Inference(self.ci_over, self.correction) if self.ci else None

    @cached_property
    def tables(self) -> tuple[Summary, ...]:
        """A table for each pair of training and test sets, and for what was asked otherwise; behind it that by kind."""
        if self.over_shots:
            return tuple(table for curves in self.shot_curves for table in curves.tables)
        if self.transfer:
            grids = tuple(grid for each in self.transfers for grid in transfer_tables(each))
            asked = self.per_category or self.per_defect or self.ci or self.published
            return (*grids, *(self.ordinary.tables if asked else ()))
        look: dict[str, Any] = {"per_category": self.per_category, "metrics": self.metrics}
        look |= {"inference": self.inference, "power": effect_of(self.power)}
        made = summarise(self.rows, **look, published=self.published)
        groups = [group for alike in rows_of_tables(self.rows) for group in alike]
        made = in_other_words(made, groups, self.rows)
        if not self.per_defect:
            return tuple(made)
        both = (
            (table, kinds_table(table, group, per_category=self.per_category))
            for table, group in zip(made, groups, strict=True)
        )
        return tuple(table for pair in both for table in pair if table is not None)

    @cached_property
    def plain(self) -> Sequence[Row]:
        """The rows with the words as they are."""
        return tuple(filter(as_they_are, self.rows))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What has to be said under the tables."""
        ranked = rank_lines(self.rankings, self.ranks) if self.ranks else ()
        said = (*choice_notes(self.rows, self.known), *notes(self.plain, self.published, self.metrics))
        others = (*transfer_notes(self.transfers), *only_in_other_words(self.rows))
        return (*said, *notes_on_intervals(self.tables), *ranked, *others)

    @cached_property
    def rankings(self) -> tuple[Ranking, ...]:
        """Methods by their mean ranks, by the first metric of images and the first of pixels, where that was asked."""
        metrics = firsts_of(measured_of(self.rows, self.metrics))
        return tuple(rankings(self.plain, metrics, self.ranks)) if self.ranks else ()

    @cached_property
    def ordinary(self) -> Document:
        """The same with a table for each pair of training and test sets."""
        return replace(self, over_shots=False, transfer=None) if self.over_shots or self.transfer else self

    @cached_property
    def transfers(self) -> tuple[TransferRows, ...]:
        """The rows of a transfer, as far as they were asked alike; none where that is not asked for."""
        return tuple(transfer_rows(self.rows, self.transfer, self.metrics)) if self.transfer else ()

    @cached_property
    def one_score(self) -> tuple[tuple[str, ...], ...]:
        """The methods that have one image score in every table in which they stand, group by group."""
        if self.find is None:
            return ()
        tables = [group for alike in rows_of_tables(self.rows) for group in alike]
        scores = ScoreFinder(self.find)
        found = dict.fromkeys(group for rows in tables for group in methods_alike(rows, scores))
        return tuple(group for group in found if all(_stands(group, rows, scores) for rows in tables))

    @cached_property
    def shot_curves(self) -> tuple[ShotCurves, ...]:
        """What methods are worth with more and more shots, where rows have several numbers of them."""
        return tuple(shot_curves(self.plain, self.metrics))

    @cached_property
    def charts(self) -> tuple[Chart, ...]:
        """The training curves; none unless they were asked for."""
        return tuple(charts(self.plain))

    def heat_maps(self, axes: Sequence[str] = ()) -> tuple[HeatMap, ...]:
        """A heat map of each grid, over two options: `axes`, or those that matter most. Raises as `check_axes`."""
        return tuple(each for table in self.ordinary.tables for each in heat_maps(table, axes))

    @property
    def exhibits(self) -> Sequence[Exhibit]:
        """What methods said of single pictures, as far as that was kept."""
        return self._looked[0]

    @property
    def without_pictures(self) -> Sequence[Row]:
        """The rows that did not fail, of whose pictures nothing was kept with any seed."""
        return self._looked[1]

    @cached_property
    def _looked(self) -> tuple[Sequence[Exhibit], Sequence[Row]]:
        return exhibits_of(self.rows, self.find or (lambda _: None))

    def frame(self) -> DataFrame:
        """The sheets as a table of pandas, with the columns of CSV. Raises UsageError where pandas is not installed."""
        return frame_of_document(self)

    def _repr_html_(self) -> str:
        """The tables and notes, for notebooks."""
        return document_html(self)

    @cached_property
    def sheets(self) -> tuple[Sheet, ...]:
        """One sheet, with a line for each row."""
        first = _first_methods(self.rows) if self.ci else {}
        return (Sheet(tuple(SheetLine(row, first.get(id(row))) for row in self.rows), self.ci),)


def _stands(group: Sequence[str], rows: Sequence[Row], scores: ScoreFinder) -> bool:
    """Whether the methods of a group are alike in a table too, or none of them stands there."""
    here = [row for row in rows if row.method in group]
    return not here or methods_alike(here, scores) == [tuple(group)]


def _first_methods(rows: Sequence[Row]) -> dict[int, Row]:
    """For each row, by its identity, that of the first method of its table for the same category and seed."""
    first = {}
    for group in (group for alike in rows_of_tables(rows) for group in alike):
        of_first = {(row.category, row.seed): row for row in group if row.method == group[0].method}
        for row in group:
            if row.method != group[0].method and (row.category, row.seed) in of_first:
                first[id(row)] = of_first[row.category, row.seed]
    return first
