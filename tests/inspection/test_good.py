"""Good pictures are divided so that no method scores one that it was shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.entrant import Entrant, entrants_of
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.data import Dataset
from stackclip.errors import UsageError
from stackclip.inspection.good import Division, divide
from stackclip.types import GOOD, NORMAL, Sample


def dataset(good: int) -> Dataset:
    samples = [Sample(f"{n}.png", "own", "plate", "train", Path(f"{n}.png"), None, NORMAL, GOOD) for n in range(good)]
    tested = Sample("x.png", "own", "plate", "test", Path("x.png"), None, NORMAL, GOOD)
    return Dataset("own", Path(), "folder", (tested, *samples), "")


def division(small: Any, spec: str, good: int, **words: Any) -> tuple[Division, Entrant, Plan, Cell]:
    own = dataset(good)
    plan = Plan(methods=(spec,), train_on=(), test_on=(own,), seeds=(7,))
    [entrant] = entrants_of(plan, small.tower.spec)
    cell = Cell(own, "plate", own.select(split="test").samples, ())
    return divide(plan, cell, entrant, **{"rate": 0.05, "calibrate": "auto"} | words), entrant, plan, cell


@pytest.mark.parametrize("spec", ["sdp", "winclip[shots=4]", "patchcore-clip[shots=all]", "clip-lad[shots=2]"])
@pytest.mark.parametrize("good", [5, 23, 30, 152])
@pytest.mark.parametrize("calibrate", ["auto", "split", "cross"])
def test_what_a_method_is_shown_it_does_not_score(small: Any, spec: str, good: int, calibrate: str) -> None:
    if (spec, good, calibrate) == ("winclip[shots=4]", 5, "split"):
        with pytest.raises(UsageError, match="5 good pictures are too few to show 4 and hold others back"):
            division(small, spec, good, calibrate=calibrate)
        return
    divided, entrant, plan, cell = division(small, spec, good, calibrate=calibrate)
    reads = bool(entrant.shots.count) or bool(entrant.reads("calibrate"))
    every = set(cell.dataset.select(split="train").samples)
    held = [sample for fold in divided.folds for sample in fold.held]
    assert len(held) == len(set(held)) > 0
    for fold in divided.folds:
        seen = set(plan.shots_of(own_with(cell, fold.shown), "plate", 7, shots=entrant.shots))
        if entrant.reads("calibrate"):
            seen |= set(fold.shown)
        assert not seen & set(fold.held)
        assert set(fold.shown) <= every
    if not reads:
        assert set(held) == every
        assert divided.exact
    elif calibrate == "cross":
        assert set(held) == every
        assert not divided.exact
    elif calibrate == "split":
        assert divided.exact
        assert len(held) == good // 2


def own_with(cell: Cell, good: tuple[Sample, ...]) -> Dataset:
    return Dataset("own", Path(), "folder", (*cell.samples, *good), "")


def test_shots_are_those_of_a_bench_where_the_others_are_enough(small: Any) -> None:
    divided, entrant, plan, cell = division(small, "winclip[shots=4]", 23)
    drawn = set(plan.shots_of(cell.dataset, "plate", 7, shots=entrant.shots))
    [fold] = divided.folds
    assert divided.exact
    assert set(fold.held) == set(cell.dataset.select(split="train").samples) - drawn
    fewer, *_ = division(small, "winclip[shots=4]", 22)
    assert len(fewer.folds) == 5
    assert division(small, "winclip[shots=4]", 22, rate=0.06)[0].exact


def test_plenty_of_pictures_are_split_and_few_are_held_back_in_turn(small: Any) -> None:
    assert len(division(small, "patchcore-clip[shots=all]", 151)[0].folds) == 5
    split, *_ = division(small, "patchcore-clip[shots=all]", 152)
    assert (len(split.folds), split.exact, len(split.shown)) == (1, True, 76)
    with pytest.raises(UsageError, match="one good picture cannot be both shown and scored"):
        division(small, "patchcore-clip[shots=all]", 1)
