"""What is said of choices: against hand-worked figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from stackclip.benchmarks.selected import ScoredPoint, Selected
from stackclip.benchmarks.sets import latest_key
from stackclip.reports.choices import choice_notes
from stackclip.types import Row

GRID = "m[a=1|2]"


def chosen(spec: str = "m[a=2]", seed: int = 0, points: Sequence[ScoredPoint] = (), **words: Any) -> Selected:
    known = points or (ScoredPoint("m[a=1]", None, 0.41, 0.02), ScoredPoint("m[a=2]", None, 0.5, 0.031))
    given = {"scheme": "leave-category-out", "metric": "pixel_AP", "rule": "best", "folds": 12, **words}
    return Selected(spec, seed=seed, points=tuple(known), **given)


def row(method: str, value: float, category: str = "x", seed: int = 0, on: str = "mvtec", **facts: Any) -> Row:
    facts = {name: asdict(each) if isinstance(each, Selected) else each for name, each in facts.items()}
    return Row(method, ("visa",), on, category, 0, seed, {"pixel_AP": value}, facts=facts)


def test_a_choice_is_told_with_its_figure_and_spread_and_alike_seeds_together() -> None:
    rows = [row(GRID, 0.6, category, seed, selected=chosen(seed=seed)) for seed in (0, 1) for category in "xy"]
    assert list(choice_notes(rows)) == [
        "m[a=1|2], seeds 0, 1: a=2, the best of 2 by leave-category-out on visa, pixel AP 50.0 (SE 3.1) over 12 folds; "
        "no tested picture was looked at"
    ]
    other = chosen("m[a=1]", 2, rule="one-standard-error", left_out=2)
    assert list(choice_notes([*rows, row(GRID, 0.6, seed=2, selected=other)]))[1] == (
        "m[a=1|2], seed 2: a=1, the first within one standard error of the best of 2 by leave-category-out on visa, "
        "pixel AP 41.0 (SE 2.0) over 12 folds (the best has 50.0 (SE 3.1)), 2 cells that no point has it in left out; "
        "no tested picture was looked at"
    )


def test_points_that_were_not_compared_are_named_with_the_reason() -> None:
    points = (ScoredPoint("m[a=1]", why_not="out of memory"), ScoredPoint("m[a=2]", None, 0.5, None))
    [said] = choice_notes([row(GRID, 0.6, selected=chosen(points=points))])
    assert "a=2, which alone could be compared by leave-category-out on visa, pixel AP 50.0 over 12 folds" in said
    assert "; not compared: m[a=1]: out of memory" in said


def test_the_regret_is_the_difference_of_means_over_categories_and_is_said_where_all_points_are_known() -> None:
    rows = [row(GRID, value, category, selected=chosen()) for category, value in (("x", 0.5), ("y", 0.7))]
    known = [row("m[a=1]", 0.8, "x"), row("m[a=1]", 0.66, "y")]
    [_, said] = choice_notes(rows, known)
    assert said == (
        "m[a=1|2], in hindsight on mvtec, which no choice can know: seed 0 a=1 has pixel AP 73.0, regret 13.0"
    )
    [_, right] = choice_notes(rows, [row("m[a=1]", 0.1, category) for category in "xy"])
    assert right.endswith("seed 0 a=2 has pixel AP 60.0, regret 0.0")
    assert len(list(choice_notes(rows, known[:1]))) == 1
    assert len(list(choice_notes(rows, [known[0], Row("m[a=1]", ("visa",), "mvtec", "y", 0, 0, error="failed")]))) == 1
    elsewhere = [row("m[a=1]", 0.8, category, on="btad") for category in "xy"]
    assert len(list(choice_notes(rows, elsewhere))) == 1
    other_pictures = [row("m[a=1]", 0.8, category, tested={"content": "other", "place": "/p"}) for category in "xy"]
    assert len(list(choice_notes(rows, other_pictures))) == 1


def test_the_regret_of_epochs_is_from_the_curves_of_tested_pictures() -> None:
    points = tuple(ScoredPoint("m[a=1]", epoch, mean) for epoch, mean in ((1, 0.5), (2, 0.4)))
    rows = [row(GRID, 0.5, selected=chosen("m[a=1]", points=points, epoch=1, stop_after=1))]
    curve = [
        {"step": 2 * epoch, "epoch": float(epoch), "metrics": {"pixel_AP": v}} for epoch, v in ((1, 0.5), (2, 0.9))
    ]
    [_, said] = choice_notes(rows, [row("m[a=1]", 0.9, curve=curve, eval_every="epoch")])
    assert said.endswith("seed 0 epoch 2 has pixel AP 90.0, regret 40.0")
    assert len(list(choice_notes(rows, [row("m[a=1]", 0.9)]))) == 1  # without a curve nothing is known of epoch 1


def test_each_test_set_has_a_regret_of_its_own_and_plain_rows_none() -> None:
    rows = [row(GRID, 0.5, on=on, selected=chosen()) for on in ("mvtec", "btad")]
    known = [row("m[a=1]", 0.6, on="mvtec"), row("m[a=1]", 0.4, on="btad")]
    said = list(choice_notes([*rows, row("clip", 0.3)], known))
    assert [note.partition(", which")[0] for note in said[1:]] == [
        f"{GRID}, in hindsight on {on}" for on in ("mvtec", "btad")
    ]


def test_the_regret_of_a_grid_over_shots_is_told_from_rows_of_other_shots() -> None:
    points = (ScoredPoint("m[shots=1]", None, 0.41), ScoredPoint("m[shots=2]", None, 0.5))
    answer = replace(row("m[shots=1|2]", 0.6, selected=chosen("m[shots=2]", points=points)), shots=2)
    known = [replace(row("m[shots=1]", 0.8), shots=1), replace(row("m[shots=2]", 0.6), shots=2)]
    [_, said] = choice_notes([answer], known)
    assert said.endswith("seed 0 shots=1 has pixel AP 80.0, regret 20.0")


def test_the_latest_choice_of_a_grid_over_shots_holds_whatever_shots_it_has() -> None:
    points = (ScoredPoint("m[shots=1]", None, 0.41), ScoredPoint("m[shots=2]", None, 0.5))
    first, last = (
        replace(row("m[shots=1|2]", 0.6, selected=chosen(f"m[shots={n}]", points=points)), shots=n) for n in (1, 2)
    )
    assert latest_key(first) == latest_key(last)
    asked = [replace(row(GRID, 0.6, selected=chosen()), shots=n) for n in (1, 2)]
    assert latest_key(asked[0]) != latest_key(asked[1])
