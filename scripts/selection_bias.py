"""Whether a test figure is honest: after a selection by folds, and after picking by the test figures themselves.

    python scripts/selection_bias.py [--repetitions 200] [--seed 0]

Problems are drawn whose truth is known: each point of a grid has a true value, each category makes all points better or
worse alike, and each point on each category is off by noise of its own. Rows of 12 training categories, one a fold, go
through the choice that `bench --select` makes; the row of the point that was taken is drawn on 6 test categories. The
bias is the mean of what was measured on these less the truth of the point that was taken, with its interval of 95 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import click
import numpy as np
from numpy.typing import NDArray

from stackclip.studies.choice import choose
from stackclip.studies.schemes import Criterion, Grid, Scheme
from stackclip.types import Row

__all__ = ["PROBLEMS", "Bias", "Problem", "main", "measured"]

METRIC = "pixel_AP"
_NORMAL = 1.96


@dataclass(frozen=True)
class Problem:
    """True values of the points of a grid (N,), and how far categories and single cells are off (standard deviations).

    Of equal ones the best is the first.
    """

    truths: tuple[float, ...]
    category: float = 0.08
    cell: float = 0.03
    folds: int = 12
    tested: int = 6

    @property
    def best(self) -> int:
        """The best point."""
        return int(np.argmax(self.truths))

    @property
    def grid(self) -> Grid:
        """The points as a grid."""
        points = tuple(f"drawn[point={index}]" for index in range(len(self.truths)))
        return Grid(f"drawn[point={'|'.join(map(str, range(len(self.truths))))}]", points)

    def cells(self, count: int, draws: np.random.Generator) -> NDArray[np.float64]:
        """What the points (N,) come to on so many categories (C,): (N, C), each within 0 and 1."""
        shared = draws.normal(0, self.category, count)
        own = draws.normal(0, self.cell, (len(self.truths), count))
        values: NDArray[np.float64] = np.array(self.truths)[:, None] + shared + own
        return values


PROBLEMS: Mapping[str, Problem] = {
    "one best": Problem((0.40, 0.44, 0.48, 0.56, 0.48, 0.44, 0.40, 0.36, 0.32, 0.30, 0.28, 0.26)),
    "close": Problem(tuple(0.50 + 0.002 * index for index in range(24))),
    "all equal": Problem((0.5,) * 24),
}


@dataclass(frozen=True)
class Bias:
    """What was measured of the points that were taken less their truths: the mean and its interval of 95 %.

    `found` is how often the best point was taken, `regret` the mean distance of the truths from the best one's.
    """

    mean: float
    low: float
    high: float
    found: float
    regret: float

    @classmethod
    def of(cls, problem: Problem, taken: Sequence[int], figures: Sequence[float]) -> Bias:
        """The bias of repetitions, by the points that they took and the test figures of these."""
        truths = np.array(problem.truths)[list(taken)]
        errors = np.array(figures) - truths
        half = _NORMAL * float(errors.std(ddof=1)) / sqrt(len(errors))
        mean = float(errors.mean())
        found = float(np.mean(np.array(taken) == problem.best))
        return cls(mean, mean - half, mean + half, found, float((max(problem.truths) - truths).mean()))

    @property
    def line(self) -> str:
        """The figures in a line of a table, times 100."""
        words = f"{100 * self.mean:+.2f} [{100 * self.low:+.2f}, {100 * self.high:+.2f}]"
        return f"{words} | {100 * self.found:.0f} % | {100 * self.regret:.2f}"


def measured(problem: Problem, repetitions: int, seed: int) -> dict[str, Bias]:
    """The biases of both ways of taking a point, over drawn problems."""
    ways: dict[str, Callable[[np.random.Generator, NDArray[np.float64]], int]] = {
        "selected by folds": lambda draws, _: _by_folds(problem, draws),
        "picked by test figures": lambda _, tested: int(np.argmax(tested.mean(1))),
    }
    found = {}
    for name, take in ways.items():
        draws, taken, figures = np.random.default_rng(seed), list[int](), list[float]()
        for _ in range(repetitions):
            tested = problem.cells(problem.tested, draws)
            taken.append(take(draws, tested))
            figures.append(float(tested[taken[-1]].mean()))
        found[name] = Bias.of(problem, taken, figures)
    return found


def _by_folds(problem: Problem, draws: np.random.Generator) -> int:
    """The point that is taken by rows of folds."""
    grid, values = problem.grid, problem.cells(problem.folds, draws)
    folds = [
        [
            Row(spec, (f"without {fold}",), "training", f"{fold}", 0, 0, {METRIC: values[at, fold]})
            for at, spec in enumerate(grid.specs)
        ]
        for fold in range(problem.folds)
    ]
    chosen = choose(grid, folds, 0, Scheme("leave-category-out"), Criterion(METRIC))
    return grid.specs.index(chosen.spec)


@click.command()
@click.option("--repetitions", type=click.IntRange(2), default=200, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def main(repetitions: int, seed: int) -> None:
    """Print a row for each problem and each way of taking a point."""
    print(
        "| problem | a point is | bias of its test figure, x 100 | best found | regret, x 100 |\n|---|---|---|---|---|"
    )
    for name, problem in PROBLEMS.items():
        for way, bias in measured(problem, repetitions, seed).items():
            print(f"| {name} | {way} | {bias.line} |")


if __name__ == "__main__":
    main()
