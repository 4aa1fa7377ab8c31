"""Curves as drawings of a page: points in pixels, which a template puts into SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from stackclip.benchmarks.curves import Chart, short
from stackclip.benchmarks.facts import facts_of
from stackclip.ops.words import few_of
from stackclip.reports.shots import ShotCurves
from stackclip.types import Row

__all__ = ["Drawn", "Panel", "drawings", "looks_of"]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 360, 220, 46, 36, 14, 12  # pixels of a panel and around its curves
_MARKED = 40  # points of a curve that are marked
_TICKS = 4
LOOKS = 28  # colours, strokes and marks together


@dataclass(frozen=True, slots=True)
class Drawn:
    """A curve: its name, its look by number, its points and the band around them in pixels, as SVG wants them."""

    name: str
    look: int
    points: str
    marks: tuple[tuple[float, float], ...] = ()
    band: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over one axis: ticks as (pixel, text), and the curves."""

    title: str
    across: str
    upward: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    curves: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A curve in its own units: y (S,) over x (S,), `spread` (S,) around it; one without x is level."""

    name: str
    look: int
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float] = ()


def looks_of(rows: Sequence[Row]) -> dict[str, int]:
    """How each method looks in all drawings."""
    return {name: number % LOOKS for number, name in enumerate(dict.fromkeys(row.method for row in rows))}


def drawings(
    rows: Sequence[Row], charts: Sequence[Chart], over_shots: Sequence[ShotCurves]
) -> Iterator[tuple[str, list[Panel]]]:
    """The title of each group of curves, and its panels: training, shots, and what a number of stacks is worth."""
    looks = looks_of(rows)
    for chart in charts:
        yield f"Training curves: {chart.title}", [_training(chart, metric, looks) for metric in chart.metrics]
    for curves in over_shots:
        yield f"With more normal pictures: {curves.title}", [_shots(curves, each, looks) for each in curves.measured]
    if panels := list(_stacks(rows, looks)):
        yield "Score by number of stacks", panels


def _training(chart: Chart, metric: str, looks: Mapping[str, int]) -> Panel:
    """Means over seeds with their standard deviation."""
    lines = []
    for curve in chart.lines:
        if (values := curve.values.get(metric)) is not None:
            mean, spread = 100 * values.mean(0), 100 * values.std(0)
            around = spread.tolist() if len(values) > 1 and curve.steps else ()
            lines.append(_Line(curve.method, looks[curve.method], curve.steps, mean.tolist(), around))
    return _panel(short(metric), "optimiser steps", "percent", lines)


def _shots(curves: ShotCurves, metric: str, looks: Mapping[str, int]) -> Panel:
    """A point for each number of shots, evenly spaced."""
    lines = []
    for method, cells in curves.figures(metric).items():
        found = [(place, 100 * cell.value) for place, cell in enumerate(cells) if cell.value is not None]
        lines.append(_Line(method, looks[method], [x for x, _ in found], [y for _, y in found]))
    names = [str(amount) for amount in curves.amounts]
    return _panel(metric.replace("_", " "), "normal pictures shown", "percent", lines, names)


def _stacks(rows: Sequence[Row], looks: Mapping[str, int]) -> Iterator[Panel]:
    """The score of each number of stacks by which a method chose its own, one panel for methods and seeds alike."""
    held = [(row.seed, row.method, facts_of(row).scores) for row in rows if facts_of(row).scores]
    distinct = {(seed, method): scores for seed, method, scores in held}
    told = sorted(distinct.items(), key=lambda item: (repr(sorted(item[1].items())), item[0]))
    for _, alike in groupby(told, key=lambda item: repr(sorted(item[1].items()))):
        group = list(alike)
        methods = list(dict.fromkeys(method for (_, method), _ in group))
        seeds = ", ".join(str(seed) for seed in sorted({seed for (seed, _), _ in group}))
        points = sorted((float(number), score) for number, score in group[0][1].items())
        line = _Line(few_of(methods), looks[methods[0]], [x for x, _ in points], [y for _, y in points])
        yield _panel(f"{few_of(methods)}, seed {seeds}", "stacks", "score", [line])


def _panel(title: str, across: str, upward: str, lines: Sequence[_Line], names: Sequence[str] = ()) -> Panel:
    """Curves on axes that hold all of them."""
    xs = [x for line in lines for x in line.x] or [0.0, 1.0]
    reach = [
        end
        for line in lines
        for y, by in zip(line.y, line.spread or [0.0] * len(line.y), strict=True)
        for end in (y - by, y + by)
    ] or [0.0, 1.0]
    x_ends, y_ends = _ends(xs), _ends(reach)
    x_at, y_at = _scale(x_ends, LEFT, WIDTH - RIGHT), _scale(y_ends, HEIGHT - BOTTOM, TOP)
    ticks = [(float(place), name) for place, name in enumerate(names)] or [(x, f"{x:g}") for x in _whole(x_ends)]
    return Panel(
        title,
        across,
        upward,
        tuple((x_at(x), text) for x, text in ticks),
        tuple((y_at(y), f"{y:.3g}") for y in np.linspace(*y_ends, _TICKS).tolist()),
        tuple(_drawn(line, x_at, y_at, x_ends) for line in lines if len(line.y)),
    )


class _scale:  # noqa: N801 - called as a function
    """From a unit to pixels."""

    def __init__(self, ends: tuple[float, float], first: float, last: float) -> None:
        self.low, self.first = ends[0], first
        self.step = (last - first) / (ends[1] - ends[0])

    def __call__(self, value: float) -> float:
        return round(self.first + (value - self.low) * self.step, 1)


def _drawn(line: _Line, x_at: _scale, y_at: _scale, x_ends: tuple[float, float]) -> Drawn:
    x, y = (line.x, line.y) if len(line.x) else (x_ends, [line.y[0]] * 2)
    places = [(x_at(across), y_at(up)) for across, up in zip(x, y, strict=True)]
    above = [(x_at(across), y_at(up + by)) for across, up, by in zip(line.x, line.y, line.spread, strict=False)]
    below = [(x_at(across), y_at(up - by)) for across, up, by in zip(line.x, line.y, line.spread, strict=False)]
    marks = tuple(places) if len(line.x) and len(places) <= _MARKED else _apart(line, places)
    return Drawn(line.name, line.look, _text(places), marks, _text([*above, *below[::-1]]))


def _apart(line: _Line, places: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """A mark on a level curve, where others have none; on one with many points one of these."""
    share = (line.look % 7 + 1) / 8
    if len(line.x):
        return (places[int(share * len(places))],)
    (first, height), (last, _) = places
    return ((round(first + share * (last - first), 1), height),)


def _text(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in places)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest, apart."""
    low, high = float(min(values)), float(max(values))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _whole(ends: tuple[float, float]) -> list[float]:
    """Up to so many whole numbers between two."""
    return sorted({float(round(x)) for x in np.linspace(*ends, _TICKS) if ends[0] <= round(x) <= ends[1]})
