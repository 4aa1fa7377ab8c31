"""What a bench compares with what, and what it must read for that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackclip.data import Dataset
from stackclip.errors import CategoryOverlap, UsageError
from stackclip.methods import Method, resolve
from stackclip.registry import Spec
from stackclip.types import MASK, NORMAL, Part, Sample, TowerSpec

__all__ = ["Plan", "check_overlap", "needed"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared with what. Training uses the test splits of `train_on`, as the field does."""

    methods: tuple[str, ...]
    train_on: tuple[Dataset, ...]
    test_on: tuple[Dataset, ...]
    seeds: tuple[int, ...] = (0,)
    shots: int = 0
    epochs: int | None = None
    batch_size: int = 8
    class_names: str | None = None
    allow_overlap: bool = False
    fail_fast: bool = False
    executor: str = "serial"

    @property
    def training(self) -> tuple[Sample, ...]:
        """The pictures that are trained on."""
        return tuple(sample for dataset in self.train_on for sample in dataset.select(split="test").samples)

    @property
    def resolved(self) -> dict[str, Method]:
        """The methods by their specs, in the order given; a spec given twice counts once."""
        return {str(Spec.parse(text)): resolve(text) for text in self.methods}

    def shots_of(self, dataset: Dataset, category: str, seed: int) -> tuple[Sample, ...]:
        """The normal training pictures shown of a category: drawn by the seed, without replacement."""
        pool = [
            sample for sample in dataset.select(split="train", categories=(category,)).samples if sample.label == NORMAL
        ]
        if not self.shots:
            return ()
        if len(pool) < self.shots:
            raise UsageError(f"{dataset.name} {category} has {len(pool)} normal training pictures; shots={self.shots}")
        drawn = np.random.default_rng([seed, *category.encode()]).choice(len(pool), self.shots, replace=False)
        return tuple(pool[index] for index in drawn)


def check_overlap(plan: Plan) -> None:
    """Raise CategoryOverlap if a category that is tested is trained on: that would not be zero-shot."""
    trained = {_plain(category): dataset.name for dataset in plan.train_on for category in dataset.categories}
    for dataset in plan.test_on:
        both = sorted(category for category in dataset.categories if _plain(category) in trained)
        if both and not plan.allow_overlap:
            source = ", ".join(sorted({trained[_plain(category)] for category in both}))
            raise CategoryOverlap(
                f"{', '.join(both)}: tested on {dataset.name} and trained on {source}, so not zero-shot; choose other "
                "data sets or categories, or say --allow-overlap"
            )


def needed(plan: Plan, tower: TowerSpec) -> tuple[tuple[Sample, ...], frozenset[Part]]:
    """The pictures and parts that a bench reads."""
    parts = frozenset({MASK}).union(*(method.needs(tower) for method in plan.resolved.values()))
    tested = (sample for dataset in plan.test_on for sample in dataset.select(split="test").samples)
    shown = (
        sample
        for dataset in plan.test_on
        for category in (dataset.categories if plan.shots else ())
        for seed in plan.seeds
        for sample in plan.shots_of(dataset, category, seed)
    )
    return tuple(dict.fromkeys([*plan.training, *tested, *shown])), parts


def _plain(category: str) -> str:
    return category.casefold().replace("_", " ").replace("-", " ")
