"""How long a bench will take follows from what rows of the same tower took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.pace import Expected, Pace
from stackclip.benchmarks.plan import Plan
from stackclip.data import Dataset
from stackclip.types import Row, Sample, TowerSpec

TOWER = TowerSpec("toy", 56, 7, 8, 16, 8, (2, 4, 6, 8))


def dataset(name: str, tested: int, *categories: str) -> Dataset:
    """A data set without files."""
    samples = [
        Sample(f"{category}/{number}.png", name, category, "test", Path(f"{category}{number}"), None, number % 2, "x")
        for category in categories
        for number in range(tested)
    ]
    return Dataset(name, Path(name), "toy", tuple(samples), name)


def row(method: str, seconds: float = 2.0, *, error: str = "", **facts: Any) -> Row:
    known = {"tower": "toy", "image_size": 56, "tested_pictures": 10}
    return Row(method, ("a",), "b", "c", 0, 0, {}, {}, seconds, error, {**known, **facts})


PLAN = Plan(methods=("stacked",), train_on=(dataset("a", 5, "x", "y"),), test_on=(dataset("b", 4, "s", "t"),))
BOTH = {("stacked", "b", "s", 0), ("stacked", "b", "t", 0)}
LEARNED = {"trained_pictures": 100, "epochs": 2, "train_seconds": 20.0}  # .1 s a picture and epoch


def test_tested_and_trained_pictures_are_counted_at_the_median_of_what_rows_took() -> None:
    rows = [row("stacked", seconds, **LEARNED) for seconds in (1.0, 2.0, 9.0)]
    expected = Pace.of(rows, TOWER).expected(PLAN, BOTH)
    assert expected.seconds == pytest.approx(8 * 0.2 + 2 * 10 * 0.1)
    assert (expected.rows, expected.unknown) == (3, ())


def test_a_method_with_a_row_for_the_seed_has_learned_and_is_tested_only() -> None:
    expected = Pace.of([row("stacked", **LEARNED)], TOWER).expected(PLAN, BOTH, {("stacked", 0)})
    assert expected.seconds == pytest.approx(8 * 0.2)


def test_as_many_epochs_are_counted_as_are_asked_for() -> None:
    longer = Plan(methods=PLAN.methods, train_on=PLAN.train_on, test_on=PLAN.test_on, epochs=7)
    expected = Pace.of([row("stacked", **LEARNED)], TOWER).expected(longer, BOTH)
    assert expected.seconds == pytest.approx(8 * 0.2 + 7 * 10 * 0.1)


def test_other_options_of_a_method_stand_for_it_and_other_methods_do_not() -> None:
    rows = [row("stacked[clusters=2]", 1.0), row("fuzzy", 99.0)]
    cells = {*BOTH, ("precise", "b", "s", 0)}
    expected = Pace.of(rows, TOWER).expected(PLAN, cells)
    assert (expected.seconds, expected.unknown) == (pytest.approx(8 * 0.1), ("precise",))


@pytest.mark.parametrize("other", [{"tower": "other"}, {"image_size": 112}])
def test_rows_of_other_towers_and_failures_say_nothing(other: dict[str, Any]) -> None:
    pace = Pace.of([row("stacked", **other), row("stacked", error="broken")], TOWER)
    assert (pace.rows, pace.expected(PLAN, BOTH).unknown) == (0, ("stacked",))


def test_what_several_benches_take_is_a_sum() -> None:
    both = Expected(2.0, 7, ("new",)) + Expected(3.0, 7, ("other", "new"))
    assert both == Expected(5.0, 7, ("new", "other"))
