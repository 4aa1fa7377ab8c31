"""Which methods are better than which: over other pictures of the same products, or over other products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Literal, get_args

from stackclip.benchmarks.intervals import Comparison, cells_of, compare, pooled_interval
from stackclip.metrics.inference import holm, mean_over_categories, over_categories
from stackclip.metrics.uncertainty import Interval
from stackclip.registry import one_of
from stackclip.types import Row

__all__ = ["CorrectedComparison", "Correction", "Inference", "Over", "compare_with", "compared", "figure_interval"]

Over = Literal["pictures", "categories"]
Correction = Literal["holm", "none"]


@dataclass(frozen=True, slots=True)
class Inference:
    """What intervals and tests are over, and whether p is corrected for the number of comparisons.

    `pictures`: the same products, other pictures. `categories`: other products. Raises UsageError for other words.
    """

    over: Over = "pictures"
    correction: Correction = "holm"

    def __post_init__(self) -> None:
        one_of("ci_over", self.over, get_args(Over))
        one_of("correction", self.correction, get_args(Correction))

    @property
    def other(self) -> str:
        """What might have been others, in words."""
        return "other pictures" if self.over == "pictures" else "other categories"


@dataclass(frozen=True, slots=True)
class CorrectedComparison:
    """A comparison, and its p corrected for as many comparisons as were made together."""

    comparison: Comparison
    corrected: float
    together: int

    @property
    def text(self) -> str:
        """The comparison in words, with both p where they may differ."""
        return self.comparison.told(self.corrected if self.together > 1 else None)


def figure_interval(rows: Sequence[Row], metric: str, over: Over = "pictures") -> Interval | None:
    """The interval of the mean of a metric over the categories and seeds of rows of one method.

    Over categories the seeds are averaged within each before. None of one category then; over pictures as
    `pooled_interval`.
    """
    if over == "pictures":
        return pooled_interval(rows, metric)
    return mean_over_categories([fmean(values) for values in _by_category(rows, metric).values()])


def compare_over(rows: Sequence[Row], method: str, other: str, metric: str, over: Over) -> Comparison | None:
    """Compare two methods of one table, over pictures as `compare`, or over the categories that both have.

    Over categories a cell counts where both methods have it, seeds are averaged within each category, and no draws are
    needed. None where there are fewer than two categories, or no spread.
    """
    if over == "pictures":
        return compare(rows, method, other, metric)
    ours, theirs = cells_of(rows, method), cells_of(rows, other)
    both = [
        (place, ours[place].metrics[metric] - theirs[place].metrics[metric])
        for place in ours
        if place in theirs and metric in ours[place].metrics and metric in theirs[place].metrics
    ]
    categories, seeds = dict[str, list[float]](), dict[int, list[float]]()
    for (category, seed), value in both:
        categories.setdefault(category, []).append(value)
        seeds.setdefault(seed, []).append(value)
    found = over_categories([fmean(values) for values in categories.values()])
    if found is None:
        return None
    spread = pstdev(map(fmean, seeds.values())) if len(seeds) > 1 else None
    return Comparison(method, other, metric, found, spread, len(both), len(ours | theirs))


def compare_with(
    rows: Sequence[Row], first: str, others: Iterable[str], metric: str, inference: Inference
) -> list[CorrectedComparison]:
    """The comparisons of others with one method, as far as there are any, their p corrected together."""
    made = [compare_over(rows, other, first, metric, inference.over) for other in others]
    found = [each for each in made if each is not None]
    chances = [each.difference.p for each in found]
    corrected = holm(chances) if inference.correction == "holm" else chances
    together = len(found) if inference.correction == "holm" else 1
    return [CorrectedComparison(each, p, together) for each, p in zip(found, corrected, strict=True)]


def compared(rows: Sequence[Row], metrics: Iterable[str], inference: Inference) -> Iterator[str]:
    """A line for each method but the first, with its differences from the first by each metric."""
    first, *others = dict.fromkeys(row.method for row in rows)
    categories = dict.fromkeys(row.category for row in rows)
    if inference.over == "categories" and len(categories) < 2:
        yield f"over categories: {next(iter(categories))} alone says nothing of others; --ci-over pictures does of it"
        return
    found = dict[str, list[str]]()
    for metric in metrics:
        for each in compare_with(rows, first, others, metric, inference):
            found.setdefault(each.comparison.method, []).append(each.text)
    if found and inference.over == "categories":
        yield f"over {len(categories)} categories, as if others might have been taken (t):"
    yield from (f"{method} - {first}: {'; '.join(found[method])}" for method in others if method in found)


def _by_category(rows: Sequence[Row], metric: str) -> dict[str, list[float]]:
    values = dict[str, list[float]]()
    for row in rows:
        if metric in row.metrics:
            values.setdefault(row.category, []).append(row.metrics[metric])
    return values
