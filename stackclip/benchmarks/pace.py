"""How long the cells that a bench lacks will take, by what cells like them took before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.seeds import CellName
from stackclip.errors import UsageError
from stackclip.registry import Spec
from stackclip.sizes import said_size
from stackclip.types import Row, TowerSpec

__all__ = ["Expected", "Pace"]


@dataclass(frozen=True, slots=True)
class Expected:
    """The seconds that work takes as it took before, `rows` of which say so; of the methods `unknown` none does."""

    seconds: float
    rows: int
    unknown: tuple[str, ...] = ()

    def __add__(self, other: Expected) -> Expected:
        """Both, one after the other, by the same rows."""
        unknown = dict.fromkeys((*self.unknown, *other.unknown))
        return Expected(self.seconds + other.seconds, max(self.rows, other.rows), tuple(unknown))


@dataclass(frozen=True)
class Pace:
    """What rows took on one tower, the median: seconds a tested picture, and seconds of training a picture and epoch.

    Both are by the spec of a method and by its name, which stands for options that nobody tried; `epochs` are those
    that each was trained for. Reading and text are not counted: they are shared, and rows do not know of them.
    """

    testing: Mapping[str, float]
    training: Mapping[str, float]
    epochs: Mapping[str, float]
    rows: int

    @classmethod
    def of(cls, rows: Iterable[Row], tower: TowerSpec) -> Pace:
        """The pace of those rows that are of this tower and did not fail."""
        testing: dict[str, list[float]] = {}
        training: dict[str, list[float]] = {}
        epochs: dict[str, list[float]] = {}
        count = 0
        for row in rows:
            facts = facts_of(row)
            if row.error or (facts.tower, facts.image_size) != (tower.name, said_size(tower.image_size)):
                continue
            count += 1
            pictures = facts.trained_pictures * facts.epochs
            for name in {row.method, _name(row.method)}:
                if facts.tested_pictures:
                    testing.setdefault(name, []).append(row.seconds / facts.tested_pictures)
                training.setdefault(name, []).append(facts.train_seconds / pictures if pictures else 0.0)
                epochs.setdefault(name, []).append(facts.epochs)
        return cls(_medians(testing), _medians(training), _medians(epochs), count)

    def expected(self, plan: Plan, lacking: Iterable[CellName], learned: Collection[tuple[str, int]] = ()) -> Expected:
        """What the cells of a plan will take that lack; methods (spec, seed) that have `learned` are tested alone."""
        cells = sorted(frozenset(lacking))
        pictures = {
            (dataset.name, category): len(dataset.select(split="test", categories=(category,)).samples)
            for dataset in plan.test_on
            for category in dataset.categories
        }
        seconds, unknown = 0.0, dict[str, None]()
        for spec, dataset, category, _ in cells:
            if (pace := _known(self.testing, spec)) is None:
                unknown[spec] = None
            else:
                seconds += pace * pictures[dataset, category]
        for spec, seed in {(spec, seed) for spec, _, _, seed in cells} - {*learned}:
            if spec not in unknown:
                asked = _known(self.epochs, spec) if plan.epochs is None else plan.epochs
                seconds += (_known(self.training, spec) or 0.0) * (asked or 0.0) * len(plan.training_of(seed))
        return Expected(seconds, self.rows, tuple(unknown))


def _known(by_name: Mapping[str, float], spec: str) -> float | None:
    return by_name.get(spec, by_name.get(_name(spec)))


def _name(spec: str) -> str:
    try:
        return Spec.parse(spec).name
    except UsageError:  # a row may be of what is no method any more
        return spec


def _medians(values: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(several) for name, several in values.items()}
