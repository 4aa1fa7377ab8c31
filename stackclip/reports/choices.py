"""Which points of grids were taken, by what, and how far the best in hindsight lies from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.selected import ScoredPoint, Selected
from stackclip.benchmarks.sets import latest_key
from stackclip.ops.words import counted
from stackclip.registry import axes_of, flat_options
from stackclip.registry.grids import NOT_GIVEN
from stackclip.types import Row

__all__ = ["choice_notes"]

Point = tuple[str, int | None]
"""A point of a grid, and the epoch after which it is stopped, where epochs are compared."""


def choice_notes(rows: Sequence[Row], known: Sequence[Row] = ()) -> Iterator[str]:
    """For each grid that a point was selected of: which, by what and with which spread, and the regret in hindsight.

    `known` are rows that may be of its other points; without those of all of them nothing is said in hindsight.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if facts_of(row).selected is not None:
            groups.setdefault((row.method, row.train_on, row.shots, facts_of(row).protocol), []).append(row)
    by_key = {key: row for row in (*rows, *known) for key in (latest_key(row), _whatever_is_shown(row))}
    for group in groups.values():
        yield from _told(group)
        yield from _hindsight(group, by_key)


def _whatever_is_shown(row: Row) -> tuple[object, ...]:
    """The key of a row for a grid over shots, whose points say themselves how many they are shown."""
    key = latest_key(row)
    return (*key[:4], None, *key[5:])


def _told(rows: Sequence[Row]) -> Iterator[str]:
    """What was taken; the same choice of several seeds in a line."""
    alike: dict[str, list[int]] = {}
    for seed, selected in _by_seed(rows).items():
        alike.setdefault(_choice(selected, "+".join(rows[0].train_on)), []).append(seed)
    for words, seeds in alike.items():
        yield f"{rows[0].method}, {_seeds(seeds)}: {words}; no tested picture was looked at"


def _by_seed(rows: Iterable[Row]) -> dict[int, Selected]:
    """The choice of each seed, which all its cells share."""
    return {row.seed: found for row in rows if (found := facts_of(row).selected) is not None}


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _choice(selected: Selected, trained: str) -> str:
    """A choice with its spread: `k=2, the best of 3 by leave-category-out on visa, pixel AP 54.1 (SE 1.2) over ...`."""
    able = [each for each in selected.points if each.mean is not None]
    best = max(able, key=lambda each: each.mean or 0.0)
    rule = "the best" if selected.rule == "best" else "the first within one standard error of the best"
    taken = f"{rule} of {len(able)} by" if len(able) > 1 else "which alone could be compared by"
    at = f" (the best has {_figure(best)})" if best.mean != selected.point.mean else ""
    figure = f"{selected.metric.replace('_', ' ')} {_figure(selected.point)} over {counted(selected.folds, 'fold')}"
    out = {each.spec: each.why_not for each in selected.points if each.mean is None}
    left = f", {counted(selected.left_out, 'cell')} that no point has it in left out" if selected.left_out else ""
    left += f"; not compared: {'; '.join(f'{spec}: {why}' for spec, why in out.items())}" if out else ""
    name = _name(_point(selected.point), selected)
    return f"{name}, {taken} {selected.scheme} on {trained}, {figure}{at}{left}"


def _figure(point: ScoredPoint) -> str:
    error = "" if point.error is None else f" (SE {100 * point.error:.1f})"
    return f"{100 * (point.mean or 0.0):.1f}{error}"


def _point(point: ScoredPoint) -> Point:
    return point.spec, point.epoch


def _name(point: Point, selected: Selected) -> str:
    """A point by the options in which the points of its grid differ."""
    spec, epoch = point
    axes = axes_of(dict.fromkeys(each.spec for each in selected.points))
    options = flat_options(spec)
    words = [f"{axis}={options.get(axis, NOT_GIVEN)}" for axis in axes]
    return ", ".join([*words, *([] if epoch is None else [f"epoch {epoch}"])])


def _hindsight(rows: Sequence[Row], by_key: Mapping[tuple[object, ...], Row]) -> Iterator[str]:
    """How much better the best point is on each test set, where the rows of all points are there."""
    sets: dict[str, list[Row]] = {}
    for row in rows:
        sets.setdefault(row.test_on, []).append(row)
    for test_on, own in sets.items():
        said = [words for seed, selected in _by_seed(own).items() if (words := _regret(own, seed, selected, by_key))]
        if said:
            yield f"{own[0].method}, in hindsight on {test_on}, which no choice can know: {'; '.join(said)}"


def _regret(rows: Sequence[Row], seed: int, selected: Selected, by_key: Mapping[tuple[object, ...], Row]) -> str:
    """The best point with one seed and the regret; empty where a point lacks a row or the metric, or is alone."""
    own = [row for row in rows if row.seed == seed and not row.error]
    found = {}
    for each in selected.points:
        values = [_value(row, each, selected, by_key) for row in own]
        known = [value for value in values if value is not None]
        if each.mean is not None and (not known or len(known) < len(values)):
            return ""
        if known and len(known) == len(values):
            found[_point(each)] = fmean(known)
    taken = found.get(_point(selected.point))
    if taken is None or len(found) < 2:
        return ""
    best = max(found, key=lambda point: found[point])
    name, figure = _name(best, selected), f"{selected.metric.replace('_', ' ')} {100 * found[best]:.1f}"
    return f"seed {seed} {name} has {figure}, regret {100 * (found[best] - taken):.1f}"


def _value(row: Row, point: ScoredPoint, selected: Selected, by_key: Mapping[tuple[object, ...], Row]) -> float | None:
    """What a point is worth in the cell of a grid's row: of the row itself for the one that was taken."""
    if _point(point) == _point(selected.point):
        return row.metrics.get(selected.metric)
    other = by_key.get((point.spec, *latest_key(row)[1:]))
    if other is None or other.error:
        return None
    curve = facts_of(other).curve
    if point.epoch is None or not curve:
        return other.metrics.get(selected.metric) if point.epoch is None else None
    return next((each.metrics.get(selected.metric) for each in curve if each.epoch == point.epoch), None)
