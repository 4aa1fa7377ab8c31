"""What follows from the rows of an ablation: how much each part is worth, and on which categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackclip.benchmarks.intervals import Comparison, compare
from stackclip.metrics.inference import over_categories
from stackclip.metrics.uncertainty import Difference
from stackclip.studies.ablation import Ablation, Contrast
from stackclip.types import Row

__all__ = ["Worth", "points", "worths_of"]


@dataclass(frozen=True, slots=True)
class Worth:
    """What one part is worth by one metric on one tested set: the method that has it less the one that has it not.

    `pictures` has the difference, its spread over seeds and its interval for other pictures of these categories;
    `categories` its interval for other categories, where there are two or more. `of_category` is the same as `pictures`
    of each by itself. Where nothing can be compared, `pictures` is None and `why` says the reason.
    """

    contrast: Contrast
    test_on: str
    metric: str
    pictures: Comparison | None = None
    categories: Difference | None = None
    of_category: Mapping[str, Comparison] = field(default_factory=dict)
    why: str = ""

    @property
    def verdict(self) -> str:
        """Whether the intervals leave out 0, in words."""
        if self.pictures is None:
            return f"n/a: {self.why}"
        shown, found = points(self.pictures.difference.value), self.pictures.difference
        alone = [each.difference for each in self.of_category.values()]
        if not any(number for each in alone for number in (each.value, each.low, each.high)):
            return "no digit changes"
        tells = [each.leaves_out_zero for each in (found, self.categories) if each]
        if not any(tells):
            return "no difference seen"
        if not float(shown):
            return "a difference that is less than 0.05 points"
        if all(tells):
            widest = self.categories or found
            low, high = sorted(abs(end) for end in (widest.low, widest.high))
            between = f"[{100 * low:.1f}, {100 * high:.1f}]"
            return f"worth {shown} {between}" if found.value > 0 else f"costs {shown.lstrip('-')} {between}"
        where = (
            "on these categories, others may differ"
            if tells[0]
            else "alike on all categories, other pictures may differ"
        )
        return f"{shown} {where}"


def worths_of(ablation: Ablation, rows: Sequence[Row], metrics: Sequence[str]) -> tuple[Worth, ...]:
    """What each contrast comes to, for each tested set and metric, in the order of the contrasts."""
    sets = {row.test_on: [each for each in rows if each.test_on == row.test_on] for row in rows}
    return tuple(
        _worth(ablation, contrast, test_on, of_set, metric)
        for test_on, of_set in sets.items()
        for metric in metrics
        for contrast in ablation.contrasts
    )


def points(value: float) -> str:
    """A difference times 100, with its sign; nothing is never negative."""
    return f"{round(100 * value, 1) or 0.0:+.1f}"


def _worth(ablation: Ablation, contrast: Contrast, test_on: str, rows: Sequence[Row], metric: str) -> Worth:
    pair = (contrast.having, contrast.lacking)
    found = compare(rows, *pair, metric)
    if found is None:
        return Worth(contrast, test_on, metric, why=_why(ablation, pair, rows, metric))
    apart = {row.category: [each for each in rows if each.category == row.category] for row in rows}
    each_alone = {category: compare(some, *pair, metric) for category, some in apart.items()}
    of_category = {category: each for category, each in each_alone.items() if each is not None}
    spread = over_categories([each.difference.value for each in of_category.values()])
    return Worth(contrast, test_on, metric, found, spread, of_category)


def _why(ablation: Ablation, pair: tuple[str, str], rows: Sequence[Row], metric: str) -> str:
    """Why two methods cannot be compared, by the first reason that is found."""
    for spec in pair:
        if spec in ablation.refused:
            return ablation.refused[spec]
        own = [row for row in rows if row.method == spec]
        if not own:
            return f"{spec} was not measured"
        said = [row.error or row.undefined.get(metric, "") for row in own if metric not in row.metrics]
        if len(said) == len(own):
            return f"{spec}: {next(filter(None, said), f'it has no {metric}')}"
    return "no rows of the same pictures have draws"
