"""Whether intervals of 95 % hold the truth 95 times of 100, and tests find what is not there 5 times: simulated rows.

    python benchmarks/coverage.py [--repetitions 1000]

Scores of pictures are drawn from two normal distributions, so what AUROC, AP and F1max are on the mean over other
pictures, as many, is known (of more pictures F1max is lower); over categories the distance of the two is drawn too, and
the mean AUROC of all categories there could be is known. Each repetition makes rows as a bench does, and asks for their
intervals as a table does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import click
import numpy as np
from scipy.stats import binom, norm

from stackclip.benchmarks.intervals import draw_facts
from stackclip.metrics import IMAGE_METRICS, image_metrics
from stackclip.metrics.evidence import Evidence
from stackclip.studies.significance import Over, compare_over, figure_interval
from stackclip.types import Row

__all__ = ["Tally", "World", "main", "rows_of_world", "tallies"]

_SHARED = 0.7  # how much the scores of the two methods have in common: a correlation of about .5
_SETS = 20_000  # of pictures, whose mean metrics are known to a tenth of a point


@dataclass(frozen=True, slots=True)
class World:
    """What is simulated: categories of so many good and bad pictures, and by how much two methods tell these apart.

    `skill` is the mean distance of good and bad scores, in standard deviations of either, for both methods; `vary` the
    standard deviation of what categories add to it for both, and `apart` of what they add for each alone.
    """

    categories: int
    good: int
    bad: int
    skill: tuple[float, float]
    vary: float = 0.0
    apart: float = 0.0

    @property
    def title(self) -> str:
        """The world in a few words."""
        pictures = f"{self.good} + {self.bad} pictures"
        return pictures if self.categories == 1 else f"{self.categories} categories of {pictures}"

    def truth(self, method: int, metric: str) -> float:
        """What a metric is on the mean over other pictures, as many; AUROC of other categories too, in closed form.

        Raises ValueError for other metrics of categories that vary.
        """
        spread = self.vary**2 + self.apart**2
        if metric == "image_AUROC":
            return float(norm.cdf(self.skill[method] / np.sqrt(2 + spread)))
        if spread:
            raise ValueError(f"{metric} of varying categories is not known here")
        return _expected(self.good, self.bad, self.skill[method])[metric]


@cache
def _expected(good: int, bad: int, skill: float) -> dict[str, float]:
    """The mean metrics of many sets of pictures."""
    draw, labels = np.random.default_rng(1), np.repeat([0, 1], [good, bad])
    found = [image_metrics(draw.normal(size=good + bad) + skill * labels, labels).values for _ in range(_SETS)]
    return {name: float(np.mean([values[name] for values in found])) for name in IMAGE_METRICS}


def rows_of_world(world: World, seed: int, *, draws: bool = True) -> list[Row]:
    """A row for each of the two methods and each category, with draws as benches keep them."""
    draw, rows = np.random.default_rng(seed), list[Row]()
    labels = np.repeat([0, 1], [world.good, world.bad])
    for category in range(world.categories):
        both, common = draw.normal(scale=world.vary or 1e-12), draw.normal(size=len(labels))
        for method in range(2):
            skill = world.skill[method] + both + draw.normal(scale=world.apart or 1e-12)
            noise = _SHARED * common + np.sqrt(1 - _SHARED**2) * draw.normal(size=len(labels))
            scores = noise + skill * labels
            pictures = f"{seed:08x}{category:08x}" + "0" * 48
            facts = draw_facts(Evidence(labels, scores), pictures) if draws else {}
            metrics = dict(image_metrics(scores, labels).values)
            rows.append(Row("ab"[method], ("t",), "s", str(category), 0, 0, metrics, facts=facts))
    return rows


@dataclass(slots=True)
class Tally:
    """Of so many repetitions, how many had an interval, how many of these held the truth, and how often p was < .05."""

    repetitions: int = 0
    made: int = 0
    held: int = 0
    found: int = 0

    def add(self, truth: float, low: float | None, high: float | None, p: float = 1.0) -> None:
        """Count a repetition; its ends are None where it has no interval."""
        self.repetitions += 1
        self.found += p < 0.05
        if low is not None and high is not None:
            self.made += 1
            self.held += low <= truth <= high


def tallies(
    world: World, over: Over, repetitions: int, metrics: Sequence[str] = IMAGE_METRICS
) -> dict[tuple[str, str], Tally]:
    """What came of the repetitions, by metric, for the first method and for the difference of the two."""
    counts = {(metric, what): Tally() for metric in metrics for what in ("figure", "difference")}
    truths = {metric: (world.truth(0, metric), world.truth(1, metric)) for metric in metrics}
    for seed in range(repetitions):
        rows = rows_of_world(world, seed, draws=over == "pictures")
        first = [row for row in rows if row.method == "a"]
        for metric, (truth, other) in truths.items():
            interval = figure_interval(first, metric, over)
            counts[metric, "figure"].add(truth, *((interval.low, interval.high) if interval else (None, None)))
            comparison = compare_over(rows, "a", "b", metric, over)
            found = comparison.difference if comparison else None
            ends = (found.low, found.high, found.p) if found else (None, None)
            counts[metric, "difference"].add(truth - other, *ends)
    return counts


def _skill(auroc: float) -> float:
    """The distance of two normal distributions that have this AUROC."""
    return float(np.sqrt(2) * norm.ppf(auroc))


def _worlds() -> Iterator[tuple[Over, World]]:
    """What is looked at: pictures of one category and of several, and categories."""
    for good, bad, auroc, other in (
        (20, 20, 0.95, 0.95),
        (50, 50, 0.95, 0.95),
        (20, 60, 0.9, 0.8),
        (100, 100, 0.99, 0.97),
    ):
        yield "pictures", World(1, good, bad, (_skill(auroc), _skill(other)))
    yield "pictures", World(8, 20, 20, (_skill(0.95), _skill(0.95)))
    for count in (3, 5, 10, 15):
        yield "categories", World(count, 30, 30, (_skill(0.85), _skill(0.85)), 0.4, 0.2)
        yield "categories", World(count, 30, 30, (_skill(0.95), _skill(0.9)), 0.8, 0.4)


@click.command()
@click.option("--repetitions", default=1000, show_default=True)
def main(repetitions: int) -> None:
    """Print a table of all that is looked at."""
    low, high = (100 * binom.ppf(share, repetitions, 0.95) / repetitions for share in (0.005, 0.995))
    print(f"{repetitions} repetitions; 99 % of shares lie from {low:.1f} to {high:.1f} if 95 % hold\n")
    print(
        "| over | simulated | metric, truth | in the interval | no interval | difference | in the interval | p < .05 |"
    )
    print("|---|---|---|---:|---:|---|---:|---:|")
    for over, world in _worlds():
        metrics = IMAGE_METRICS if over == "pictures" else ("image_AUROC",)
        counts = tallies(world, over, repetitions, metrics)
        for metric in metrics:
            figure, difference = counts[metric, "figure"], counts[metric, "difference"]
            truth, other = world.truth(0, metric), world.truth(1, metric)
            name = f"{metric.removeprefix('image_')} {100 * truth:.1f}"
            lack = 100 * (1 - figure.made / repetitions)
            print(
                f"| {over} | {world.title} | {name} | {_share(figure)} | {lack:.1f} "
                f"| {100 * (truth - other):+.1f} | {_share(difference)} | {100 * difference.found / repetitions:.1f} |",
                flush=True,
            )


def _share(tally: Tally) -> str:
    return f"{100 * tally.held / tally.made:.1f}" if tally.made else "n/a"


if __name__ == "__main__":
    main()
