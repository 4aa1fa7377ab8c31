"""Which point of a grid is taken, by the rows of the folds: nothing else is known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from statistics import fmean, stdev

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.selected import ScoredPoint, Selected
from stackclip.errors import StackclipError
from stackclip.ops.words import few_of
from stackclip.studies.schemes import METRICS_BY_DEFAULT, Criterion, Grid, Scheme
from stackclip.types import Row

__all__ = ["choose"]

Place = tuple[int, str, str]
"""A cell of a fold: the number of the fold, the tested data set and the category."""


def choose(grid: Grid, folds: Sequence[Sequence[Row]], seed: int, scheme: Scheme, criterion: Criterion) -> Selected:
    """The point that is taken with a seed, by the rows of each fold.

    A point is worth its mean over folds, and a fold the mean over its categories. Cells in which no point has the
    metric are left out for all; a point that lacks it in another is not taken. Of equal ones the first is.
    Raises StackclipError where no point can be taken.
    """
    found = _Scores(grid, folds, seed, criterion)
    points = tuple(found.points())
    able = [each for each in points if each.mean is not None]
    if not able:
        raise StackclipError(f"no point of {grid.name} can be taken with seed {seed}: {_why(points)}")
    taken = _taken(able, criterion)
    last = max((each.epoch for each in points if each.spec == taken.spec and each.epoch is not None), default=None)
    return Selected(
        spec=taken.spec,
        scheme=str(scheme),
        metric=found.metric,
        rule=criterion.rule,
        seed=seed,
        folds=len({place[0] for place in found.counted}),
        points=points,
        epoch=taken.epoch,
        stop_after=None if taken.epoch == last else taken.epoch,
        left_out=len(found.places) - len(found.counted),
    )


def _taken(able: Sequence[ScoredPoint], criterion: Criterion) -> ScoredPoint:
    """The best point, or the first that is as good within its standard error."""
    best = max(able, key=lambda point: point.mean or 0.0)  # of equal ones the first
    least = (best.mean or 0.0) - (best.error or 0.0 if criterion.rule == "one-standard-error" else 0.0)
    return next(point for point in able if (point.mean or 0.0) >= least)


def _why(points: Sequence[ScoredPoint]) -> str:
    """Why none of the points could be compared, each reason once."""
    reasons = dict.fromkeys(point.why_not for point in points)
    return few_of(reasons, 2) or "there are none"


@dataclass(frozen=True)
class _Scores:
    """What the rows of folds say of the points of a grid, for one seed."""

    grid: Grid
    folds: Sequence[Sequence[Row]]
    seed: int
    criterion: Criterion

    @cached_property
    def rows(self) -> Mapping[tuple[str, Place], Row]:
        """The rows of the points, by their place."""
        specs = frozenset(self.grid.specs)
        return {
            (row.method, (number, row.test_on, row.category)): row
            for number, rows in enumerate(self.folds)
            for row in rows
            if row.seed == self.seed and row.method in specs
        }

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """All cells of the folds."""
        return tuple(dict.fromkeys(place for _, place in self.rows))

    @cached_property
    def metric(self) -> str:
        """The metric by which points are compared: that which was named, else the first that one of them has."""
        held = {name for row in self.rows.values() for name in row.metrics}
        known = next((name for name in METRICS_BY_DEFAULT if name in held), METRICS_BY_DEFAULT[0])
        return self.criterion.metric or known

    @cached_property
    def counted(self) -> tuple[Place, ...]:
        """The cells in which a point has the metric."""
        there = {place for (_, place), row in self.rows.items() if self.metric in row.metrics}
        return tuple(place for place in self.places if place in there)

    def points(self) -> Iterator[ScoredPoint]:
        """The points in the grid's order, and the epochs of each in theirs."""
        for spec in self.grid.specs:
            if why_not := self._why_not(spec):
                yield ScoredPoint(spec, why_not=why_not)
            else:
                yield from (self._point(spec, epoch) for epoch in self._epochs(spec))

    def _why_not(self, spec: str) -> str:
        """Why a point cannot be compared; empty where it can."""
        own = {place: self.rows.get((spec, place)) for place in self.places}
        if error := next((row.error for row in own.values() if row is not None and row.error), ""):
            return error
        if not self.counted:
            reasons = [row.undefined[self.metric] for row in own.values() if row and self.metric in row.undefined]
            why = f" ({reasons[0]})" if reasons else ""
            return f"no fold has {self.metric}{why}; name another metric (--select-by)"
        for place in self.counted:
            row = own[place]
            if row is None or self.metric not in row.metrics:
                reason = row.undefined.get(self.metric, "it does not say why") if row else "it has no row there"
                return f"it lacks {self.metric} on {place[1]} {place[2]}: {reason}"
        return "" if self._epochs(spec) else "its curves have no epoch in common"

    def _epochs(self, spec: str) -> tuple[int | None, ...]:
        """The epochs after which a point was measured in every cell; None alone where they are not compared."""
        every = [frozenset(self._at(self.rows[spec, place])) for place in self.counted]
        return tuple(sorted(frozenset[int | None].intersection(*every), key=lambda epoch: epoch or 0))

    def _point(self, spec: str, epoch: int | None) -> ScoredPoint:
        of_fold: dict[int, list[float]] = {}
        for place in self.counted:
            of_fold.setdefault(place[0], []).append(self._at(self.rows[spec, place])[epoch])
        scores = [fmean(values) for values in of_fold.values()]
        error = stdev(scores) / sqrt(len(scores)) if len(scores) > 1 else None
        return ScoredPoint(spec, epoch, fmean(scores), error)

    def _at(self, row: Row) -> Mapping[int | None, float]:
        """The metric of a row after each whole epoch that its curve has it for; without these, at the end."""
        curve = facts_of(row).curve if self.criterion.epochs else ()
        points: dict[int | None, float] = {
            round(point.epoch): point.metrics[self.metric]
            for point in curve
            if point.epoch == round(point.epoch) and self.metric in point.metrics
        }
        return points or {None: row.metrics[self.metric]}
