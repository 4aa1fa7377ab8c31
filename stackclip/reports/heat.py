"""A grid as a table of two of its options: the mean, the spread and the best point of each pair of values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle, product
from statistics import fmean, pstdev

from stackclip.errors import UsageError
from stackclip.ops.words import counted
from stackclip.registry import Spec, flat_options
from stackclip.registry.grids import NOT_GIVEN
from stackclip.reports.sweeps import SweptGrid, grids_by_name, grids_of
from stackclip.reports.table import Summary, TableLine

__all__ = ["Axis", "HeatCell", "HeatMap", "check_axes", "heat_maps"]

_MOST = 2  # axes of a picture


@dataclass(frozen=True, slots=True)
class Axis:
    """An option, with its values in order; one without a name has one value, for a grid of a single option."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeatCell:
    """The points of a grid with one pair of values: their mean, its spread over them or over seeds, and how many.

    `value` is None where none of them was measured on all that the others were.
    """

    value: float | None
    spread: float | None
    counted: int
    of: int
    is_best: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands in it: the mean, below it the spread, and how many of its points that is of where some lack."""
        if self.value is None:
            return ("n/a",)
        spread = () if self.spread is None else (f"±{100 * self.spread:.1f}",)
        some = () if self.counted == self.of else (f"{self.counted} of {self.of}",)
        return (f"{100 * self.value:.1f}", *spread, *some)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One metric of a grid over two options: `cells` by the values of the row and of the column, as far as there are.

    `title` says which grid, `about` what was averaged and what the spread is over, `best` the point that is the best in
    hindsight.
    """

    title: str
    about: str
    metric: str
    best: str
    down: Axis
    across: Axis
    cells: Mapping[tuple[str, str], HeatCell]

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        values = [cell.value for cell in self.cells.values() if cell.value is not None]
        return min(values, default=0.0), max(values, default=1.0)

    def share(self, cell: HeatCell) -> float:
        """How far up from the lowest value (0) to the highest (1) a cell lies; .5 where all are equal."""
        low, high = self.ends
        return ((cell.value or 0.0) - low) / (high - low) if high > low else 0.5

    def level(self, cell: HeatCell, levels: int) -> int:
        """The same in steps, from 0 to `levels` - 1."""
        return min(int(self.share(cell) * levels), levels - 1)


def heat_maps(table: Summary, axes: Sequence[str] = ()) -> Iterator[HeatMap]:
    """A heat map of each grid of a table, for its first metric of images and that of pixels.

    `axes` are two options, or one, by name or path (`head.temperature`); else those two whose values' means lie
    farthest apart. Raises UsageError for an option that no grid of the table has with several values.
    """
    lines = [line for line in table.lines if line.category is None and not line.beside]
    grids = [] if table.over_shots or table.by_defect else [*grids_of(lines, table.metrics)]
    check_axes((line.method for grid in grids for line in grid.lines), axes)
    for grid in grids:
        values = _values(line.method for line in grid.lines)
        if all(len(values.get(name, ())) > 1 for name in axes):
            names = list(axes) or _widest(values, [grid.measured(metric) for metric in grid.shown])
            yield from filter(None, (_map(table, grid, metric, values, names) for metric in grid.shown))


def check_axes(methods: Iterable[str], axes: Sequence[str]) -> None:
    """Raise UsageError for axes of which no grid among methods has all, each with several values."""
    if len(axes) > _MOST or len({*axes}) < len(axes):
        raise UsageError(f"--axes {','.join(axes)}: wanted one or two different options of a grid")
    known = dict[str, None]()
    for alike in grids_by_name(methods):
        several = [name for name, each in _values(alike).items() if len(each) > 1]
        if {*axes} <= {*several}:
            return
        known |= dict.fromkeys(several)
    if axes:
        there = f"those with several values are {', '.join(known)}" if known else "no method stands there with several"
        raise UsageError(f"--axes {','.join(axes)}: wanted options of one grid; {there}")


def _map(
    table: Summary, grid: SweptGrid, metric: str, values: Mapping[str, tuple[str, ...]], names: Sequence[str]
) -> HeatMap | None:
    """One metric of a grid, or None where no point has it."""
    of_point = grid.measured(metric)
    if not of_point:
        return None
    axes = [Axis(name, _ordered(values[name])) for name in names]
    across, down = max(axes, key=lambda axis: len(axis.values)), Axis("", ("",))
    if len(axes) == _MOST:
        down = next(axis for axis in axes if axis is not across)
    high = max(of_point.values())
    best = [method for method, value in of_point.items() if value == high]
    points: dict[tuple[str, str], list[TableLine]] = {}
    for line in grid.lines:
        points.setdefault((_at(line.method, down), _at(line.method, across)), []).append(line)
    cells = {place: _cell(lines, of_point, best[0], grid.column(metric)) for place, lines in points.items()}
    others = [name for name in _own(values) if not any(each == name or each.startswith(f"{name}.") for each in names)]
    also = f" and {counted(len(best) - 1, 'other')}" if len(best) > 1 else ""
    return HeatMap(
        f"{grid.name}, {len(grid.lines)} points, {table.title}",
        _about(others, any(len(lines) > 1 for lines in points.values()), len(table.seeds)),
        metric,
        f"{best[0]}{also}, {100 * high:.1f}",
        down,
        across,
        cells,
    )


def _cell(lines: Sequence[TableLine], of_point: Mapping[str, float], best: str, column: int) -> HeatCell:
    values = [of_point[line.method] for line in lines if line.method in of_point]
    if not values:
        return HeatCell(None, None, 0, len(lines))
    alone = next((line.cells[column].spread for line in lines if line.method in of_point), None)
    spread = pstdev(values) if len(values) > 1 else alone if len(lines) == 1 else None
    holds = best in {line.method for line in lines}
    return HeatCell(fmean(values), spread, len(values), len(lines), holds)


def _about(others: Sequence[str], averaged: bool, seeds: int) -> str:
    """What a cell is the mean of, and its small print the spread of."""
    if averaged:
        over = f"over {', '.join(others)}" if others else "over the points that it holds"
        return f"each cell: the mean {over}, below it their standard deviation"
    return "each cell: one point" + (", below it the standard deviation over seeds" if seeds > 1 else "")


def _options(method: str) -> dict[str, str]:
    """The options of a point: its own as they were typed, and those of the components that they name by their paths."""
    return {**flat_options(method), **dict(Spec.parse(method).options)}


def _at(method: str, axis: Axis) -> str:
    return _options(method).get(axis.name, NOT_GIVEN) if axis.name else ""


def _values(methods: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The values of each option in the order in which they come."""
    options = [_options(method) for method in methods]
    names = dict.fromkeys(name for each in options for name in each)
    return {name: tuple(dict.fromkeys(each.get(name, NOT_GIVEN) for each in options)) for name in names}


def _own(values: Mapping[str, Sequence[str]]) -> list[str]:
    """The options with several values, those of components that others name left out."""
    return [name for name, several in values.items() if len(several) > 1 and "." not in name]


def _widest(values: Mapping[str, Sequence[str]], of_points: Sequence[Mapping[str, float]]) -> list[str]:
    """The two options whose means lie farthest apart, beside how far all points do, over several metrics.

    Of a pair that has points in all its cells, where there is one.
    """
    options = {method: _options(method) for of_point in of_points for method in of_point}

    def width(name: str, of_point: Mapping[str, float]) -> float:
        found: dict[str, list[float]] = {}
        for method, value in of_point.items():
            found.setdefault(options[method].get(name, NOT_GIVEN), []).append(value)
        means, whole = [fmean(each) for each in found.values()], max(of_point.values()) - min(of_point.values())
        return (max(means) - min(means)) / whole if whole else 0.0

    def is_whole(pair: Iterable[str]) -> bool:
        names = tuple(pair)
        there = {tuple(each.get(name, NOT_GIVEN) for name in names) for each in options.values()}
        return there >= {*product(*(values[name] for name in names))}

    names = _own(values)
    widths = {name: sum(width(name, of_point) for of_point in of_points if of_point) for name in names}
    pairs = [*combinations(names, _MOST)] or [tuple(names)]
    return list(max(pairs, key=lambda pair: (is_whole(pair), sum(widths[name] for name in pair))))


def _ordered(values: Sequence[str]) -> tuple[str, ...]:
    """Values by the letters and the numbers in them, numbers by size and first."""

    def place(value: str) -> list[tuple[bool, float, str]]:
        pieces = re.split(r"(\d+(?:\.\d+)?)", value)
        return [(not odd, float(piece) if odd else 0.0, piece) for odd, piece in zip(cycle((0, 1)), pieces) if piece]

    return tuple(sorted(values, key=place))
