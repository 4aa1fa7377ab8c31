"""What methods are worth with more and more normal pictures: a table of each metric, a column for each number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import Titles, standing
from stackclip.ops.words import counted
from stackclip.reports.marks import dependent_on_others
from stackclip.reports.table import Figure, Summary, TableLine, summarise
from stackclip.types import Row

__all__ = ["SHOT_METRICS", "ShotCurves", "shot_curves"]

SHOT_METRICS = ("image_AUROC", "pixel_AUROC", "pixel_AUPRO")
Amount = int | Literal["all"]


@dataclass(frozen=True)
class ShotCurves:
    """The rows that differ in their shots alone, where there are several numbers of them; `metrics` are shown."""

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    trained: str
    tested: str

    @property
    def title(self) -> str:
        """What was trained on what, in words."""
        return f"{f'trained on {self.trained}' if self.trained else 'not trained'}, tested on {self.tested}"

    @cached_property
    def amounts(self) -> tuple[Amount, ...]:
        """The numbers of normal pictures shown, the least first; `all` is the most."""
        return tuple(sorted({row.shots for row in self.rows}, key=_order))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods in the order that they come."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    def figures(self, metric: str) -> Mapping[str, tuple[Figure, ...]]:
        """Of each method the metric at every amount; one that was not measured, or failed there, is undefined."""
        at = {
            (line.method, amount): line.cells[table.metrics.index(metric)]
            for amount, table in self._summaries.items()
            for line in (table.lines if metric in table.metrics else ())
        }
        return {method: tuple(at.get((method, each), _NONE) for each in self.amounts) for method in self.methods}

    @cached_property
    def _summaries(self) -> Mapping[Amount, Summary]:
        """The table of each amount."""
        found = {}
        for amount in self.amounts:
            [found[amount]] = summarise((row for row in self.rows if row.shots == amount), metrics=self.measured)
        return found

    @cached_property
    def tables(self) -> tuple[Summary, ...]:
        """A table for each metric that was measured."""
        return tuple(map(self._table, self.measured))

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The metrics that a method was measured by."""
        return tuple(metric for metric in self.metrics if any(metric in row.metrics for row in self.rows))

    def _table(self, metric: str) -> Summary:
        seeds = tuple(dict.fromkeys(row.seed for row in self.rows))
        categories = tuple(dict.fromkeys(row.category for row in self.rows))
        marked = {row.method for row in self.rows if dependent_on_others(row)}
        found = self.figures(metric).items()
        lines = tuple(TableLine(method, None, cells, marked=method in marked) for method, cells in found)
        names = tuple(_name(amount) for amount in self.amounts)
        return Summary(self.trained, self.tested, 0, seeds, categories, names, lines, over_shots=metric)


def shot_curves(rows: Iterable[Row], metrics: Sequence[str] = ()) -> list[ShotCurves]:
    """The curves of rows: a group for each pair of training and test sets, where there is more than one amount."""
    every = tuple(rows)
    titles, groups = Titles(every), dict[tuple[object, ...], list[Row]]()
    for row in every:
        groups.setdefault((row.train_on, row.test_on, standing(row), facts_of(row).protocol), []).append(row)
    shown = tuple(metrics) or SHOT_METRICS
    made = [
        ShotCurves(tuple(group), shown, titles.trained(group[0]), titles.tested(group[0])) for group in groups.values()
    ]
    return [each for each in made if len(each.amounts) > 1 and each.measured]


_NONE = Figure(None)


def _order(amount: Amount) -> float:
    return float("inf") if amount == "all" else amount


def _name(amount: Amount) -> str:
    return "all" if amount == "all" else counted(amount, "shot")
