"""What rows keep of their draws of pictures, and what follows from it: intervals and paired differences over pictures.

A draw depends on nothing but the tested pictures. So two rows of the same pictures have the same draws, whenever and
beside whatever they were measured, and their values may be subtracted or averaged draw by draw.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.benchmarks.facts import facts_of
from stackclip.metrics.evidence import Evidence, measure
from stackclip.metrics.uncertainty import (
    DRAWS,
    Difference,
    Interval,
    difference_of,
    draw_metrics,
    enough,
    interval_of,
)
from stackclip.ops.words import chance, chance_digits
from stackclip.types import Row

__all__ = [
    "Comparison",
    "cells_of",
    "compare",
    "draw_facts",
    "has_draws",
    "intervals_of",
    "pooled_draws",
    "pooled_interval",
]

_LACKING = 65535  # of a draw, where 0 to 65534 stand for 0 to 1: to 1e-5
Numbers = NDArray[np.float64]


def draw_facts(said: Evidence, pictures: str) -> dict[str, Any]:
    """What a row keeps: `draws`, with the value of each metric in each draw, and `intervals`, which follow from them.

    `pictures` is the hash of what is tested, in hexadecimal digits; it is what the draws depend on.
    """
    found = {name: each for name, each in draw_metrics(said, seed=int(pictures[:16], 16)).items() if enough(each)}
    whole = measure(said, np.ones((1, len(said.labels))))
    intervals = {name: interval_of(float(whole[name][0]), values) for name, values in found.items()}
    return {
        "intervals": {name: [each.low, each.high] for name, each in intervals.items() if each},
        "draws": {"count": DRAWS, "pictures": pictures, "values": {name: _packed(found[name]) for name in found}},
    }


def has_draws(row: Row) -> bool:
    """Whether a row has the draws that are made now."""
    return facts_of(row).draws.count == DRAWS


def intervals_of(row: Row) -> dict[str, tuple[float, float]]:
    """The interval of each metric of a row, by its draws; of a row that keeps others, those that it keeps."""
    if not has_draws(row):
        return {name: (low, high) for name, (low, high) in facts_of(row).intervals.items()}
    found = {name: pooled_interval([row], name) for name in row.metrics}
    return {name: (each.low, each.high) for name, each in found.items() if each}


def pooled_interval(rows: Sequence[Row], metric: str) -> Interval | None:
    """The interval of the mean over seeds of the means over categories, of rows that have the metric.

    Categories are drawn apart, seeds together. None where a row has no draws, or too few draws have all categories.
    """
    values = [_drawn(row, metric) for row in rows if metric in row.metrics]
    found = [each for each in values if each is not None]
    seeds = [row.seed for row in rows if metric in row.metrics]
    if not found or len(found) < len(values):
        return None
    figures = [np.array([row.metrics[metric]]) for row in rows if metric in row.metrics]
    return interval_of(float(_pooled(figures, seeds)[0]), _pooled(found, seeds))


def pooled_draws(pairs: Sequence[tuple[Row, Row]], metric: str) -> Numbers | None:
    """The mean over seeds of the mean differences over categories, draw by draw (D,); None where a pair has none."""
    found = [(row.seed, values) for row, other in pairs if (values := _pair(row, other, metric)) is not None]
    if not found or len(found) < len(pairs):
        return None
    return _pooled([values for _, values in found], [seed for seed, _ in found])


@dataclass(frozen=True, slots=True)
class Comparison:
    """By how much a method is better than another on the same pictures, by the mean over categories and seeds.

    `spread` is that of the difference over seeds. `cells` of the `of` that either has could be compared.
    """

    method: str
    other: str
    metric: str
    difference: Difference
    spread: float | None
    cells: int
    of: int

    @property
    def text(self) -> str:
        """The difference times 100, its spread over seeds, its interval, the metric and p."""
        return self.told()

    def told(self, corrected: float | None = None) -> str:
        """The same, with p corrected for several comparisons behind p, if it is given."""
        found = self.difference
        spread = "" if self.spread is None else f" ±{100 * self.spread:.1f}"
        partial = "" if self.cells == self.of else f" ({self.cells} of {self.of})"
        between = f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
        name = self.metric.replace("_", " ")
        holm = "" if corrected is None else f" (Holm {chance_digits(corrected)})"
        return f"{100 * found.value:+.1f}{spread} {between} {name}{partial}, {_chance(found)}{holm}"


def cells_of(rows: Sequence[Row], method: str) -> dict[tuple[str, int], Row]:
    """The rows of a method of one table by category and seed."""
    return {(row.category, row.seed): row for row in rows if row.method == method}


def compare(rows: Sequence[Row], method: str, other: str, metric: str) -> Comparison | None:
    """Compare two methods where both were tested on the same pictures; None if that is nowhere."""
    ours, theirs = cells_of(rows, method), cells_of(rows, other)
    pairs = [
        (row, theirs[place], pair)
        for place, row in ours.items()
        if place in theirs and (pair := _pair(row, theirs[place], metric)) is not None
    ]
    if not pairs:
        return None
    seeds = [row.seed for row, _, _ in pairs]
    values = np.array([row.metrics[metric] - beside.metrics[metric] for row, beside, _ in pairs])
    of_seed = _by_seed([np.array([value]) for value in values], seeds)[:, 0].tolist()
    found = difference_of(fmean(of_seed), _pooled([pair for _, _, pair in pairs], seeds))
    if found is None:
        return None
    spread = pstdev(of_seed) if len(of_seed) > 1 else None
    return Comparison(method, other, metric, found, spread, len(pairs), len(ours | theirs))


def _pair(row: Row, other: Row, metric: str) -> Numbers | None:
    """The differences of two rows of the same pictures, draw by draw (D,)."""
    pictures = [facts_of(each).draws.pictures for each in (row, other)]
    if pictures[0] != pictures[1] or metric not in row.metrics or metric not in other.metrics:
        return None
    ours, theirs = _drawn(row, metric), _drawn(other, metric)
    return None if ours is None or theirs is None else ours - theirs


def _pooled(values: Sequence[Numbers], seeds: Sequence[int]) -> Numbers:
    """The mean over seeds of the means over categories, draw by draw (D,)."""
    pooled: Numbers = _by_seed(values, seeds).mean(0)
    return pooled


def _by_seed(values: Sequence[Numbers], seeds: Sequence[int]) -> Numbers:
    """The means (S, D) over all values (D,) of each seed."""
    together: dict[int, list[Numbers]] = {}
    for seed, each in zip(seeds, values, strict=True):
        together.setdefault(seed, []).append(each)
    return np.array([np.mean(several, axis=0) for several in together.values()])


def _drawn(row: Row, metric: str) -> Numbers | None:
    """The values of a metric in the draws of a row (D,), not a number where a draw lacks it."""
    packed = facts_of(row).draws.values if has_draws(row) else {}
    if metric not in packed:
        return None
    whole = np.frombuffer(b64decode(packed[metric]), "<u2")
    return np.where(whole == _LACKING, np.nan, whole / (_LACKING - 1))


def _packed(values: Numbers) -> str:
    whole = np.where(np.isfinite(values), np.round(np.nan_to_num(values).clip(0, 1) * (_LACKING - 1)), _LACKING)
    return b64encode(whole.astype("<u2").tobytes()).decode()


def _chance(found: Difference) -> str:
    """A probability in two digits, or that it is as small as so many draws can tell."""
    if found.p <= found.least:
        return f"p <= {found.least:.3f}".replace("0.", ".")
    return chance(found.p)
