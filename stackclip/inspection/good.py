"""Good pictures, divided: a method is shown some of them, and what it says of the others is what good ones score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.errors import UsageError
from stackclip.inspection.verdicts import needed_for
from stackclip.types import Sample

__all__ = ["Calibrate", "Division", "Fold", "divide"]

Calibrate = Literal["auto", "split", "cross"]
"""Whether the good pictures that a method takes are split in two, or each is held back in turn."""

FOLDS = 5
AMPLE = 4  # times as many pictures as a promise wants in either half, and they are split


@dataclass(frozen=True, slots=True)
class Fold:
    """The good pictures that a method may be shown, and those that it scores after that."""

    shown: tuple[Sample, ...]
    held: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Division:
    """What a method may be shown before it scores what is tested, and by which folds the good ones are scored.

    A fold that shows what is shown before the test is that very method. `how` is in words.
    """

    shown: tuple[Sample, ...]
    folds: tuple[Fold, ...]
    how: str

    @property
    def exact(self) -> bool:
        """Whether good and tested pictures are scored by one and the same inspector, so that a promise is exact."""
        return all(fold.shown == self.shown for fold in self.folds)


def divide(plan: Plan, cell: Cell, entrant: Entrant, *, rate: float, calibrate: Calibrate) -> Division:
    """Divide the good pictures of a cell for a method.

    One that is shown none scores all. One that draws a number of shots, as in a bench, scores the others, where the
    rate can be promised by so many. Of one that takes all it is given, the pictures are split in two where there are
    plenty (`calibrate=auto`), else each fifth is scored by the method that was shown the other four.
    Raises UsageError for fewer than two pictures of which some are to be shown.
    """
    seed = plan.seeds[0]
    good = cell.dataset.select(split="train", categories=(cell.category,)).samples
    if not entrant.shots.count and not entrant.reads("calibrate"):
        return Division(good, (Fold(good, good),), "that it was not shown")
    drawn = frozenset(plan.shots_of(cell.dataset, cell.category, seed, shots=entrant.shots))
    others = tuple(sample for sample in good if sample not in drawn)
    if calibrate == "auto" and not entrant.reads("calibrate") and len(others) >= needed_for(rate):
        return Division(good, (Fold(good, others),), "that it was not shown")
    if len(good) < 2:
        raise UsageError("one good picture cannot be both shown and scored: add some to --good")
    order = np.random.default_rng([seed, len(good)]).permutation(len(good))
    if calibrate == "split" or (calibrate == "auto" and len(good) // 2 >= AMPLE * needed_for(rate)):
        half = _at(good, order[: (len(good) + 1) // 2])
        return Division(half, (Fold(half, _without(good, half)),), "of the half that it was not shown")
    held = [_at(good, order[start::FOLDS]) for start in range(min(FOLDS, len(good)))]
    folds = tuple(Fold(_without(good, each), each) for each in held)
    return Division(good, folds, "each scored by the method that was shown others")


def _at(samples: Sequence[Sample], places: Sequence[int] | np.ndarray) -> tuple[Sample, ...]:
    """The samples at some places, in their own order."""
    return tuple(samples[place] for place in sorted(int(place) for place in places))


def _without(samples: Sequence[Sample], left_out: Sequence[Sample]) -> tuple[Sample, ...]:
    gone = frozenset(left_out)
    return tuple(sample for sample in samples if sample not in gone)
