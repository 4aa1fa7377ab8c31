"""Rows as tables: one line a method, the mean over categories and seeds, the best and second best of each metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev
from typing import Literal

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import Titles, standing
from stackclip.benchmarks.words import as_they_are
from stackclip.ops.words import counted
from stackclip.papers.published import Lookup, Reference
from stackclip.reports.columns import METRICS, firsts_of, measured_of
from stackclip.reports.marks import TRANSDUCTIVE, dependent_on_others
from stackclip.reports.protocols import protocols
from stackclip.reports.sweeps import swept
from stackclip.studies.power import Effect, power_lines
from stackclip.studies.significance import Inference, compared, figure_interval
from stackclip.types import Row

__all__ = ["METRICS", "Figure", "Summary", "TableLine", "figure_of", "ranked", "rows_of_tables", "summarise"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a table: the mean over what it sums up, the spread over seeds, and of how many it is.

    `value` is None where nothing is defined; `why` then says the reason. `interval` is where it would lie for other
    pictures, or other categories, 19 times of 20.
    """

    value: float | None
    spread: float | None = None
    counted: int = 0
    of: int = 0
    why: str = ""
    signed: bool = False
    interval: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """The number times 100: `93.1 ±0.4 [91.2, 94.8] (11 of 12)`, as far as there is a spread over several seeds, an
        interval, and something that lacks.
        """
        if self.value is None:
            return "n/a"
        if self.signed:
            return f"{100 * self.value:+.1f}"
        spread = "" if self.spread is None else f" ±{100 * self.spread:.1f}"
        partial = "" if self.counted == self.of else f" ({self.counted} of {self.of})"
        between = "" if self.interval is None else " [{:.1f}, {:.1f}]".format(*(100 * end for end in self.interval))
        return f"{100 * self.value:.1f}{spread}{between}{partial}"


@dataclass(frozen=True, slots=True)
class TableLine:
    """One line of a table: a method on a category or kind of defect, or (None) the mean over categories.

    `beside` is one that was not measured: what a paper prints of the method above, or the difference to that.
    `marked` are methods whose figures depend on all tested pictures together.
    """

    method: str
    category: str | None
    cells: tuple[Figure, ...]
    error: str = ""
    beside: bool = False
    marked: bool = False

    @property
    def label(self) -> str:
        """The method as a table names it, with its mark."""
        return f"{self.method} {TRANSDUCTIVE}" if self.marked else self.method

    @property
    def part(self) -> str:
        """What it is of, as a table shows it."""
        return "mean" if self.category is None else self.category


@dataclass(frozen=True, slots=True)
class Summary:
    """One table: everything trained on one place and tested on another with the same shots, and asked alike.

    `protocol` says in words what was asked in place of the methods' own, and where other tables of the same places were
    asked otherwise, all that was asked. `compared` are lines of text: the differences from the first method, what
    it takes to find them, and what the options of a grid come to. `inference` says what intervals and tests are over;
    None where there are none. `by_defect` says that the lines are of kinds of defects, in place of categories. With
    `over_shots` it is of that metric alone, and its columns are numbers of normal pictures shown.
    """

    train_on: str
    test_on: str
    shots: int | Literal["all"]
    seeds: tuple[int, ...]
    categories: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[TableLine, ...]
    protocol: str = ""
    compared: tuple[str, ...] = ()
    by_defect: bool = False
    over_shots: str = ""
    inference: Inference | None = None

    @property
    def title(self) -> str:
        """What was trained on what, in words."""
        count = len(self.categories)
        parts = [self.over_shots] if self.over_shots else []
        parts += [
            f"{f'trained on {self.train_on}' if self.train_on else 'not trained'}, tested on {self.test_on}",
            f"mean over {count} categor{'y' if count == 1 else 'ies'}",
            counted(len(self.seeds), "seed"),
        ]
        parts += [counted(self.shots, "shot")] if self.shots else []
        parts += ["by kind of defect, each with all good pictures"] if self.by_defect else []
        return ", ".join([*parts, *([self.protocol] if self.protocol else [])])

    @property
    def corner(self) -> str:
        """What its lines are called by."""
        return "method"

    @property
    def part(self) -> str:
        """What its lines are of, beside a method."""
        return "defect" if self.by_defect else "category"

    def ranks(self, column: int, category: str | None) -> dict[str, int]:
        """Method -> 1 for the best and 2 for the second best value of a column among the lines of a category."""
        lines = [line for line in self.lines if line.category == category and line.cells and not line.beside]
        most = max((line.cells[column].counted for line in lines), default=0)  # a mean of fewer is no match for these
        lines = [line for line in lines if line.cells[column].counted == most]
        shown = {
            line.method: round(100 * value, 1) for line in lines if (value := line.cells[column].value) is not None
        }
        order = sorted(set(shown.values()), reverse=True)
        return {method: order.index(value) + 1 for method, value in shown.items() if len(shown) > 1}


def summarise(
    rows: Iterable[Row],
    *,
    per_category: bool = False,
    metrics: Sequence[str] = (),
    published: Lookup | None = None,
    inference: Inference | None = None,
    power: Effect = None,
) -> list[Summary]:
    """The tables of rows: one for each pair of training and test sets; lines in the order the methods come.

    Sets are told apart by their pictures (`stackclip.benchmarks.sets`). Rows of different towers, epochs, class names
    or batch sizes that were asked for never stand in one table.
    A mean is taken over categories within a seed, then over the seeds; undefined values are left out of it and counted.
    `metrics` are the only ones shown, if given. Below a method stands what `published` has of it, and the difference.
    With an `inference` there are intervals, over pictures those of rows that have draws, and the differences from the
    first method; with `power`, what it takes to find these.
    """
    tables, every = [], tuple(rows)
    titles = Titles(every)
    for alike in rows_of_tables(every):
        for group, protocol in zip(alike, protocols([group[0] for group in alike]), strict=True):
            table = _summary(group, per_category, protocol, metrics, inference)
            said = (*table.compared, *power_lines(group, firsts_of(table.metrics), power))
            table = replace(table, train_on=titles.trained(group[0]), test_on=titles.tested(group[0]), compared=said)
            tables.append(_with_published(table, published, group) if published else table)
    return tables


def rows_of_tables(rows: Iterable[Row]) -> list[list[list[Row]]]:
    """The rows of each pair of training and test sets, and of these those of each table; none in other words."""
    groups: dict[tuple[object, ...], dict[str, list[Row]]] = {}
    for row in filter(as_they_are, rows):
        alike = groups.setdefault((row.train_on, row.test_on, row.shots, standing(row)), {})
        alike.setdefault(facts_of(row).protocol, []).append(row)
    return [list(alike.values()) for alike in groups.values()]


def _with_published(summary: Summary, published: Lookup, rows: Sequence[Row]) -> Summary:
    """The table with what is printed of each of its lines below it, and the difference."""
    measured = {row.method: row for row in rows}
    lines = []
    for line in summary.lines:
        lines.append(line)
        for reference in published.find(measured[line.method], category=line.category or ""):
            lines += _beside(line, reference, summary.metrics)
    return replace(summary, lines=tuple(lines))


def _beside(line: TableLine, reference: Reference, metrics: Sequence[str]) -> Iterator[TableLine]:
    """What is printed of a line, and the difference of the two numbers as they are shown."""
    printed = [Figure(reference.values.get(name), counted=1, of=1) for name in metrics]
    if any(cell.value is not None for cell in printed):
        yield TableLine(reference.label, line.category, tuple(printed), beside=True)
        difference = [_difference(own.value, other.value) for own, other in zip(line.cells, printed, strict=True)]
        yield TableLine("difference", line.category, tuple(difference), beside=True)


def _difference(measured: float | None, printed: float | None) -> Figure:
    if measured is None or printed is None:
        return Figure(None)
    points = round(round(100 * measured, 1) - round(100 * printed, 1), 1)
    return Figure((points or 0.0) / 100, counted=1, of=1, signed=True)


def _summary(
    rows: Sequence[Row], per_category: bool, protocol: str, shown: Sequence[str], inference: Inference | None
) -> Summary:
    categories = tuple(dict.fromkeys(row.category for row in rows))
    seeds = tuple(dict.fromkeys(row.seed for row in rows))
    metrics = measured_of(rows, shown)
    lines = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        for category in (*(categories if per_category else ()), None):
            chosen = [row for row in own if category in (None, row.category)]
            errors = tuple(dict.fromkeys(row.error for row in chosen if row.error))
            of = len(seeds) * (len(categories) if category is None else 1)
            cells = tuple(figure_of(chosen, name, seeds, of, inference) for name in metrics)
            marked = any(map(dependent_on_others, own))
            lines.append(TableLine(method, category, cells, "; ".join(errors), marked=marked))
    order = {category: index for index, category in enumerate((*categories, None))}
    lines.sort(key=lambda line: order[line.category])
    first = rows[0]
    trained = "+".join(first.train_on)
    said = (
        *(compared(rows, metrics, inference) if inference else ()),
        *swept([each for each in lines if each.category is None], metrics),
    )
    keys = (trained, first.test_on, first.shots, seeds, categories, metrics)
    return Summary(*keys, tuple(lines), protocol, said, inference=inference)


def figure_of(
    rows: Sequence[Row], metric: str, seeds: Sequence[int], of: int, inference: Inference | None = None
) -> Figure:
    """The mean of a metric over the rows of each seed, then over the seeds; `of` is how many it could be of."""
    by_seed = [[row.metrics[metric] for row in rows if row.seed == seed and metric in row.metrics] for seed in seeds]
    means = [fmean(values) for values in by_seed if values]
    if not means:
        reasons = dict.fromkeys(row.undefined.get(metric) or row.error for row in rows)
        return Figure(None, why="; ".join(reason for reason in reasons if reason))
    values = sum(map(len, by_seed))
    found = figure_interval(rows, metric, inference.over) if inference else None
    interval = (found.low, found.high) if found else None
    return Figure(fmean(means), pstdev(means) if len(means) > 1 else None, values, of, interval=interval)


def ranked(summary: Summary, line: TableLine) -> list[tuple[str, int]]:
    """The text of each cell of a line with its rank in its column (0 for none)."""
    return [
        (
            "" if line.beside and cell.value is None else "failed" if line.error and cell.value is None else cell.text,
            0 if line.beside else summary.ranks(column, line.category).get(line.method, 0),
        )
        for column, cell in enumerate(line.cells)
    ]
