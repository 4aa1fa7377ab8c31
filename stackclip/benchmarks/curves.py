"""Training curves: what a method would be worth if it had stopped after so many optimiser steps, and how steadily."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, pstdev
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import standing
from stackclip.errors import UsageError
from stackclip.metrics import Measured
from stackclip.ops.words import counted
from stackclip.types import Row

__all__ = [
    "CURVE_METRICS",
    "Chart",
    "Curve",
    "EvalEvery",
    "PointFacts",
    "charts",
    "has_curve",
    "interval",
    "point",
    "spread_notes",
    "stability",
]

EvalEvery = int | Literal["epoch"]
"""The optimiser steps between two points of a curve, or an epoch of them."""

PointFacts = Mapping[str, Any]
"""One point of a curve, as rows and heads keep it: `step`, `epoch`, `metrics`, and `error` where it failed."""

CURVE_METRICS = ("pixel_AUPRO", "pixel_AP", "pixel_F1max")  # FuzzyCLIP, figure 1
_OF_PICTURES = ("image_AUROC", "image_AP", "image_F1max")  # in their place where no method gives maps


def interval(value: object) -> EvalEvery:
    """The points' distance from what was typed or read. Raises UsageError for anything but `epoch` and 1, 2, 3 ..."""
    if value == "epoch":
        return "epoch"
    text = str(value)
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"eval_every is {value!r}; wanted a number of optimiser steps, 1 or more, or epoch")


def point(step: int, epoch: float, measured: Measured | None, error: str) -> PointFacts:
    """One point: the metrics that are defined after `step` steps and `epoch` epochs, or why there are none."""
    values = dict(measured.values) if measured and not error else {}
    found = {"step": step, "epoch": round(epoch, 6), "metrics": values}
    return {**found, "error": error} if error else found


def stability(points: Sequence[PointFacts]) -> dict[str, float]:
    """How much each metric still moves: its standard deviation over the last half of the points, two at least."""
    values: dict[str, list[float]] = {}
    for each in points[len(points) // 2 :]:
        for name, value in each["metrics"].items():
            values.setdefault(name, []).append(value)
    return {name: pstdev(several) for name, several in values.items() if len(several) > 1}


def has_curve(row: Row, every: EvalEvery | None) -> bool:
    """Whether a row has the points that are asked for; where none are, any row will do."""
    return every is None or facts_of(row).eval_every == every


# Many rows as one picture


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve of a method: its metrics after each of `steps` (S,), the mean over categories for each seed (N, S).

    A method that does not train has one value and no step. `categories` of the chart's have a curve.
    """

    method: str
    steps: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]
    categories: int

    def spread(self, metric: str) -> float | None:
        """The standard deviation of a metric over the last half of the steps, the mean over seeds."""
        values = self.values.get(metric)
        if values is None or values.shape[1] - values.shape[1] // 2 < 2:
            return None
        return float(values[:, values.shape[1] // 2 :].std(1).mean())


@dataclass(frozen=True)
class Chart:
    """The curves that belong together: the same training and test sets, shots, tower and schedule."""

    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """What was trained on what and for how long, in words."""
        first = self.rows[0]
        epochs = facts_of(first).asked_epochs
        shots = f", {counted(first.shots, 'shot')}" if first.shots else ""
        trained = f"trained on {' + '.join(first.train_on) or 'nothing'}"
        return trained + (f" for {counted(epochs, 'epoch')}" if epochs else "") + f", tested on {first.test_on}{shots}"

    @property
    def tower(self) -> str:
        """The tower that the features are of."""
        return facts_of(self.rows[0]).tower

    @property
    def note(self) -> str:
        """What the tower says of itself."""
        return facts_of(self.rows[0]).note

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len({row.seed for row in self.rows})

    @property
    def categories(self) -> int:
        """How many categories there are."""
        return len({row.category for row in self.rows})

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """What is drawn: three metrics of maps, or where no method gives maps, of pictures."""
        measured = {name for row in self.rows for name in row.metrics}
        return CURVE_METRICS if measured & {*CURVE_METRICS} or not measured else _OF_PICTURES

    @cached_property
    def lines(self) -> tuple[Curve, ...]:
        """A line for each method that has something to draw, in the order that they come."""
        methods: dict[str, list[Row]] = {}
        for row in self.rows:
            methods.setdefault(row.method, []).append(row)
        lines = [_line(method, rows, self.metrics) for method, rows in methods.items()]
        return tuple(line for line in lines if line.values)


def charts(rows: Iterable[Row]) -> list[Chart]:
    """The curves of rows; those that were not asked for one, or failed, are left out."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        facts = facts_of(row)
        if facts.eval_every is not None and not row.error:
            key = row.train_on, row.test_on, row.shots, standing(row), facts.protocol, facts.eval_every
            groups.setdefault(key, []).append(row)
    found = [Chart(tuple(group)) for group in groups.values()]
    return [chart for chart in found if any(line.steps for line in chart.lines)]


def spread_notes(found: Iterable[Chart]) -> Iterator[str]:
    """The spread over the last half of training of each method's mean curve, in percent: a line for each chart."""
    for chart in found:
        said = []
        for line in chart.lines:
            spreads = {name: line.spread(name) for name in chart.metrics}
            words = [f"{short(name)} {100 * each:.2f}" for name, each in spreads.items() if each is not None]
            said += [f"{line.method} {', '.join(words)}"] if words else []
        if said:
            yield f"spread over the last half of training, {chart.title}: {'; '.join(said)}"


def short(metric: str) -> str:
    """A metric as it stands over a panel: `AUPRO` for `pixel_AUPRO`."""
    return metric.partition("_")[2].replace("F1max", "F1-max")


def _line(method: str, rows: Sequence[Row], metrics: Sequence[str]) -> Curve:
    """The mean over categories, seed by seed, at the steps that all rows of the method have."""
    steps = sorted(frozenset[int].intersection(*(frozenset(p.step for p in facts_of(row).curve) for row in rows)))
    values: dict[str, NDArray[np.float64]] = {}
    for name in metrics:
        of_seed: dict[int, list[list[float]]] = {}
        for row in rows:
            found = _values(row, steps, name)
            if found is not None:
                of_seed.setdefault(row.seed, []).append(found)
        if of_seed:
            values[name] = np.array([[fmean(at) for at in zip(*several, strict=True)] for several in of_seed.values()])
    return Curve(method, tuple(steps), values, len({row.category for row in rows}))


def _values(row: Row, steps: Sequence[int], metric: str) -> list[float] | None:
    """A metric at each of the steps; of a row without any, the one value that it has. None where some are undefined."""
    at = {each.step: each.metrics.get(metric) for each in facts_of(row).curve}
    found = [at[step] for step in steps] if at else [row.metrics.get(metric)]
    known = [value for value in found if value is not None]
    return known if known and len(known) == len(found) else None
