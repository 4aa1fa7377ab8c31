"""What the options of a grid come to: how far its points lie apart, and what each value of an option is worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from stackclip.errors import UsageError
from stackclip.registry import Spec, axes_of, flat_options, points_of
from stackclip.registry.grids import NOT_GIVEN
from stackclip.reports.columns import firsts_of

if TYPE_CHECKING:
    from stackclip.reports.table import TableLine

__all__ = ["SweptGrid", "grids_by_name", "grids_of", "swept"]

FEWEST = 3  # points, of which there is something to say that a table does not show


@dataclass(frozen=True)
class SweptGrid:
    """The lines of methods of one name that differ in options, of which a table has `metrics` in its columns."""

    name: str
    lines: Sequence[TableLine]
    metrics: Sequence[str]

    @property
    def shown(self) -> list[str]:
        """The first metric of images and that of pixels."""
        return [*firsts_of(self.metrics)]

    def column(self, metric: str) -> int:
        """Where a metric stands in the lines."""
        return self.metrics.index(metric)

    def measured(self, metric: str) -> dict[str, float]:
        """A metric of each point that was measured on as much as any other; a mean of fewer is no match for these."""
        cells = {line.method: line.cells[self.column(metric)] for line in self.lines if line.cells}
        most = max((cell.counted for cell in cells.values()), default=0)
        return {at: cell.value for at, cell in cells.items() if cell.value is not None and cell.counted == most}


def grids_of(lines: Iterable[TableLine], metrics: Sequence[str]) -> Iterator[SweptGrid]:
    """The grids among the lines of a table."""
    of_method: dict[str, list[TableLine]] = {}
    for line in lines:
        of_method.setdefault(line.method, []).append(line)
    for methods in grids_by_name(line.method for line in lines):
        points = [line for method in dict.fromkeys(methods) for line in of_method[method]]
        yield SweptGrid(Spec.parse(methods[0]).name, points, metrics)


def grids_by_name(methods: Iterable[str]) -> Iterator[list[str]]:
    """The methods of each grid: some of one name that differ in options."""
    of_name: dict[str, list[str]] = {}
    for method in methods:
        with suppress(UsageError):  # a name of a row that is none of a method is no point of a grid
            if len(points_of(method)) > 1:  # what was selected of a grid is none either
                continue
            of_name.setdefault(Spec.parse(method).name, []).append(method)
    yield from (alike for alike in of_name.values() if len(alike) >= FEWEST and axes_of(alike))


def swept(lines: Sequence[TableLine], metrics: Sequence[str]) -> Iterator[str]:
    """For methods of one name that differ in options: range, best in hindsight, and the mean at each value.

    `lines` are those of one table, of means over its categories. The first metric of images and that of pixels is told.
    """
    for grid in grids_of(lines, metrics):
        yield from (_told(grid, metric) for metric in grid.shown)


def _told(grid: SweptGrid, metric: str) -> str:
    """One metric of a grid in a line."""
    name, lines, axes = grid.name, grid.lines, axes_of(line.method for line in grid.lines)
    found = grid.measured(metric)
    left = f", {len(lines) - len(found)} of them left out: measured on less" if 0 < len(found) < len(lines) else ""
    title = f"{name}, {len(lines)} points{left}, {metric.replace('_', ' ')}"
    if not found:
        return f"{title}: of none"
    low, high = min(found.values()), max(found.values())
    best = [method for method, value in found.items() if value == high]
    at = ", ".join(f"{axis}={flat_options(best[0]).get(axis, NOT_GIVEN)}" for axis in axes)
    also = f" and {len(best) - 1} more" if len(best) > 1 else ""
    worth = "; ".join(_worth(axis, values, found) for axis, values in axes.items())
    return f"{title}: {100 * low:.1f} to {100 * high:.1f}, in hindsight best at {at}{also}; means: {worth}"


def _worth(axis: str, values: Sequence[str], found: Mapping[str, float]) -> str:
    """The mean over all points that have each value of an option."""
    means = []
    for value in values:
        alike = [figure for method, figure in found.items() if flat_options(method).get(axis, NOT_GIVEN) == value]
        means.append(f"{value} {100 * fmean(alike):.1f}" if alike else f"{value} n/a")
    return f"{axis} {', '.join(means)}"
