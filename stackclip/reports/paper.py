"""Rows as a paper prints them: all data sets in one table, and its appendix by category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from stackclip.benchmarks.sets import asked_alike
from stackclip.ops.words import few_of
from stackclip.reports.captions import block_title, caption
from stackclip.reports.document import Document
from stackclip.reports.page_tables import (
    PageBlock,
    PageCell,
    PageHead,
    PageLine,
    PageTable,
    metric_words,
    plain_table,
    titled,
)
from stackclip.reports.table import Summary, TableLine, rows_of_tables
from stackclip.reports.tested import marks_by_test
from stackclip.studies.significance import Inference
from stackclip.types import Row

__all__ = ["paper_tables"]

Place = tuple[str, str]
"""What was tested, and what was trained on."""


def paper_tables(document: Document) -> Iterator[PageTable]:
    """The tables of a document for a page: of all data sets together; by category, by kind of defect, over shots."""
    if document.over_shots:
        yield from map(plain_table, document.tables)
        return
    if document.transfer:
        grids = [table for table in document.tables if table.over_shots]
        yield from map(plain_table, grids)
        if len(grids) < len(document.tables):
            yield from paper_tables(document.ordinary)
        return
    for parts in _together(document):
        yield _of_means(parts)
        if document.per_category:
            yield from _by_category(parts)
    yield from (plain_table(table) for table in document.tables if table.by_defect)


@dataclass
class _Part:
    """What was measured on one data set with as many shots: a table with a line for each category, and its rows."""

    table: Summary
    rows: Sequence[Row]
    _marks: dict[tuple[str | None, str], dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.place: Place = (self.table.test_on, self.table.train_on)
        self.block = block_title(self.table)
        self.methods = tuple(dict.fromkeys(row.method for row in self.rows))

    def line(self, method: str, category: str | None = None) -> TableLine | None:
        """A method's own line, if it has one."""
        return next((each for each in self._lines(category) if each.method == method and not each.beside), None)

    def cell(self, method: str, category: str | None, metric: str) -> PageCell | None:
        """A method's figure with its mark, if it has one."""
        line = self.line(method, category)
        if line is None or metric not in self.table.metrics:
            return None
        return self.cell_of(line, metric, self.marks(category, metric).get(method, 0))

    def cell_of(self, line: TableLine, metric: str, mark: int = 0) -> PageCell | None:
        """The figure of any line, if there is one."""
        if metric not in self.table.metrics:
            return None
        return PageCell(line.cells[self.table.metrics.index(metric)], mark, bool(line.error))

    def marks(self, category: str | None, metric: str) -> dict[str, int]:
        """The marks of methods, tested once."""
        if (category, metric) not in self._marks:
            column = self.table.metrics.index(metric)
            figures = {each.method: each.cells[column] for each in self._lines(category) if not each.beside}
            rows = [row for row in self.rows if category in (None, row.category)]
            inference = self.table.inference or Inference()
            self._marks[category, metric] = marks_by_test(rows, figures, metric, inference)
        return self._marks[category, metric]

    def beside(self, method: str) -> dict[tuple[str, str], TableLine]:
        """What papers print of a method, and the difference below each, by names that these have in every part."""
        found, printed, own = dict[tuple[str, str], TableLine](), "", False
        for line in self._lines(None):
            own = line.method == method if not line.beside else own
            if own and line.beside:
                printed = printed if line.method == "difference" else line.method
                found[printed, line.method] = line
        return found

    def _lines(self, category: str | None) -> Iterator[TableLine]:
        return (line for line in self.table.lines if line.category == category)


def _together(document: Document) -> list[list[_Part]]:
    """The parts that one table can hold: asked alike, on the same tower, each with a place of its own in it."""
    groups = (group for alike in rows_of_tables(document.rows) for group in alike)
    tables = replace(document, per_category=True, per_defect=False).tables
    found = list[tuple[tuple[object, ...], dict[tuple[Place, str], _Part]]]()
    for part in map(_Part, tables, groups):
        asked, place = asked_alike(part.rows[0]), (part.place, part.block)
        home = next((parts for known, parts in found if known == asked and place not in parts), None)
        if home is None:
            home = {}
            found.append((asked, home))
        home[place] = part
    return [sorted(parts.values(), key=lambda part: _amount(part.table)) for _, parts in found]


def _amount(table: Summary) -> float:
    return float("inf") if table.shots == "all" else table.shots


def _of_means(parts: Sequence[_Part]) -> PageTable:
    """Methods by data sets; blocks of those that are shown as many pictures."""
    places = dict.fromkeys(part.place for part in parts)
    columns = [(place, name) for place in places for name in _metrics(parts, place)]
    blocks = []
    for title in dict.fromkeys(part.block for part in parts):
        at = {part.place: part for part in parts if part.block == title}
        methods = dict.fromkeys(method for part in at.values() for method in part.methods)
        blocks.append(PageBlock(title, tuple(line for method in methods for line in _lines(method, at, columns))))
    names = [test_on for test_on, _ in places]
    heads = (
        PageHead(f"{place[0]} (trained on {place[1]})" if names.count(place[0]) > 1 else place[0], metric_words(name))
        for place, name in columns
    )
    title = f"Anomaly detection on {few_of(dict.fromkeys(names))}"
    remarks = [remark for part in parts for remark in (part.table.title, *part.table.compared)]
    return PageTable(title, _caption(title, parts), "method", tuple(heads), titled(blocks), tuple(remarks))


def _caption(title: str, parts: Sequence[_Part]) -> tuple[str, ...]:
    return caption(title, [part.table for part in parts], [row for part in parts for row in part.rows])


def _metrics(parts: Sequence[_Part], place: Place) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts if part.place == place for name in part.table.metrics))


def _lines(method: str, at: dict[Place, _Part], columns: Sequence[tuple[Place, str]]) -> Iterator[PageLine]:
    """A method's line over all data sets, and below it what papers print, and the differences."""
    label = next(line.label for part in at.values() if (line := part.line(method)))
    yield PageLine(label, tuple(at[place].cell(method, None, name) if place in at else None for place, name in columns))
    printed = {place: part.beside(method) for place, part in at.items()}
    for key in dict.fromkeys(key for lines in printed.values() for key in lines):
        cells = (
            at[place].cell_of(printed[place][key], name) if key in printed.get(place, {}) else None
            for place, name in columns
        )
        yield PageLine(key[1], tuple(cells), beside=True)


def _by_category(parts: Sequence[_Part]) -> Iterator[PageTable]:
    """Categories by methods, a table for each data set and metric."""
    for place in dict.fromkeys(part.place for part in parts):
        here = [part for part in parts if part.place == place]
        columns = [(part, method) for part in here for method in part.methods]
        labels = [line.label for part, method in columns if (line := part.line(method))]
        groups = [part.block if len(here) > 1 else "" for part, _ in columns]
        heads = tuple(PageHead(group, (label,)) for group, label in zip(groups, labels, strict=True))
        categories = dict.fromkeys(category for part in here for category in part.table.categories)
        for name in _metrics(parts, place):
            lines = [
                PageLine(label, tuple(part.cell(method, category, name) for part, method in columns))
                for label, category in (*zip(categories, categories, strict=True), ("mean", None))
            ]
            title = f"{' '.join(metric_words(name))} on {place[0]} by category"
            yield PageTable(
                title,
                _caption(title, here),
                "category",
                heads,
                (PageBlock("", (*lines[:-1],)), PageBlock("", (lines[-1],))),
            )
