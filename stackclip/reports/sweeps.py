"""What the options of a grid come to: how far its points lie apart, and what each value of an option is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from statistics import fmean
from typing import TYPE_CHECKING

from stackclip.errors import UsageError
from stackclip.registry import Spec, axes_of, flat_options, points_of
from stackclip.registry.grids import NOT_GIVEN
from stackclip.reports.columns import firsts_of

if TYPE_CHECKING:
    from stackclip.reports.table import TableLine

__all__ = ["swept"]

FEWEST = 3  # points, of which there is something to say that a table does not show


def swept(lines: Sequence[TableLine], metrics: Sequence[str]) -> Iterator[str]:
    """For methods of one name that differ in options: range, best in hindsight, and the mean at each value.

    `lines` are those of one table, of means over its categories. The first metric of images and that of pixels is told.
    """
    of_name: dict[str, list[TableLine]] = {}
    for line in lines:
        with suppress(UsageError):  # a name of a row that is none of a method is no point of a grid
            if len(points_of(line.method)) > 1:  # what was selected of a grid is none either
                continue
            of_name.setdefault(Spec.parse(line.method).name, []).append(line)
    for name, points in of_name.items():
        axes = axes_of(line.method for line in points)
        if len(points) >= FEWEST and axes:
            yield from (_told(name, points, axes, metric, metrics.index(metric)) for metric in firsts_of(metrics))


def _told(name: str, lines: Sequence[TableLine], axes: Mapping[str, Sequence[str]], metric: str, column: int) -> str:
    """One metric of a grid in a line."""
    cells = {line.method: line.cells[column] for line in lines if line.cells}
    most = max((cell.counted for cell in cells.values()), default=0)  # a mean of fewer is no match for these
    found = {at: cell.value for at, cell in cells.items() if cell.value is not None and cell.counted == most}
    left = f", {len(lines) - len(found)} of them left out: measured on less" if len(found) < len(lines) else ""
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
