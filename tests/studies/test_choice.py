"""A point is taken by means over folds that are worked by hand, and what cannot be compared is out with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from scipy.stats import sem

from stackclip.benchmarks.selected import ScoredPoint, Selected
from stackclip.errors import StackclipError
from stackclip.studies.choice import choose
from stackclip.studies.schemes import Criterion, Grid, Scheme
from stackclip.types import Row

GRID = Grid("m[a=1|2|3]", ("m[a=1]", "m[a=2]", "m[a=3]"))
SCHEME = Scheme("leave-category-out")
BEST = Criterion("pixel_AP")


def row(spec: str, fold: int, value: float | None, *, category: str = "x", seed: int = 0, **words: Any) -> Row:
    metrics = {} if value is None else {"pixel_AP": value}
    return Row(spec, (f"without {fold}",), f"only {fold}", category, 0, seed, **{"metrics": metrics, **words})


def folds_with(values: Mapping[str, Sequence[float | None]], **words: Any) -> list[list[Row]]:
    count = len(next(iter(values.values())))
    return [[row(spec, at, each[at], **words) for spec, each in values.items()] for at in range(count)]


def taken(folds: Sequence[Sequence[Row]], criterion: Criterion = BEST, seed: int = 0) -> Selected:
    return choose(GRID, folds, seed, SCHEME, criterion)


def test_the_best_mean_over_folds_is_taken_and_its_error_is_that_of_the_mean() -> None:
    values = {"m[a=1]": [0.5, 0.6, 0.7], "m[a=2]": [0.9, 0.6, 0.75], "m[a=3]": [0.7, 0.7, 0.7]}
    found = taken(folds_with(values))
    assert (found.spec, found.epoch, found.folds, found.left_out) == ("m[a=2]", None, 3, 0)
    assert (found.scheme, found.metric, found.rule, found.seed) == ("leave-category-out", "pixel_AP", "best", 0)
    for point, scores in zip(found.points, values.values(), strict=True):
        assert point.mean == pytest.approx(sum(scores) / 3)
        assert point.error == pytest.approx(sem(scores))
    assert found.point is found.points[1]


def test_of_equal_points_the_first_is_taken() -> None:
    assert taken(folds_with({"m[a=3]": [0.5, 0.7], "m[a=2]": [0.5, 0.7], "m[a=1]": [0.4, 0.6]})).spec == "m[a=2]"


def test_the_first_point_within_one_standard_error_of_the_best_is_taken() -> None:
    rule = Criterion("pixel_AP", "one-standard-error")
    values = {"m[a=1]": [0.49, 0.49], "m[a=2]": [0.50, 0.52], "m[a=3]": [0.5, 0.6]}  # 0.55 with an error of 0.05
    found = taken(folds_with(values), rule)
    assert (found.spec, found.rule) == ("m[a=2]", "one-standard-error")
    values["m[a=1]"] = [0.51, 0.51]
    assert taken(folds_with(values), rule).spec == "m[a=1]"
    assert taken(folds_with(values)).spec == "m[a=3]"


def test_a_fold_counts_once_however_many_categories_it_has() -> None:
    first = [row("m[a=1]", 0, v, category=c) for v, c in ((0.2, "x"), (0.4, "y"))]
    [point, *_] = taken([first, [row("m[a=1]", 1, 0.9)]]).points
    assert point.mean == pytest.approx((0.3 + 0.9) / 2)


def test_points_that_fail_or_lack_the_metric_are_out_with_the_reason() -> None:
    values = {"m[a=1]": [0.9, None], "m[a=2]": [0.1, 0.2], "m[a=3]": [0.9, 0.9]}
    folds = folds_with(values)
    folds[1][0] = row("m[a=1]", 1, None, undefined={"pixel_AP": "no maps"})
    folds[0][2] = row("m[a=3]", 0, None, error="out of memory")
    found = taken(folds)
    assert found.spec == "m[a=2]"
    assert [point.why_not for point in found.points] == ["it lacks pixel_AP on only 1 x: no maps", "", "out of memory"]
    assert found.points[0] == ScoredPoint("m[a=1]", why_not="it lacks pixel_AP on only 1 x: no maps")


def test_a_point_without_a_row_is_out() -> None:
    found = taken([[row("m[a=1]", 0, 0.1), row("m[a=2]", 0, 0.9)], [row("m[a=1]", 1, 0.1)]])
    assert found.spec == "m[a=1]"
    assert [each.why_not for each in found.points[1:]] == [
        "it lacks pixel_AP on only 1 x: it has no row there",
        "it lacks pixel_AP on only 0 x: it has no row there",
    ]


def test_a_cell_in_which_no_point_has_the_metric_is_left_out_for_all() -> None:
    found = taken(folds_with({"m[a=1]": [0.1, None, 0.3], "m[a=2]": [0.2, None, 0.4], "m[a=3]": [0.1, None, 0.1]}))
    assert (found.spec, found.folds, found.left_out) == ("m[a=2]", 2, 1)
    assert found.point.mean == pytest.approx(0.3)


def test_where_no_point_can_be_taken_the_reasons_are_said() -> None:
    with pytest.raises(StackclipError, match=r"no point of m\[a=1\|2\|3\] can be taken with seed 4: broken"):
        taken([[row(spec, 0, None, seed=4, error="broken") for spec in GRID.specs]], seed=4)
    lacking = folds_with({spec: [0.1, 0.2] for spec in GRID.specs}, undefined={"image_AP": "no scores"})
    with pytest.raises(StackclipError, match=r"no fold has image_AP \(no scores\); name another metric"):
        taken(lacking, Criterion("image_AP"))


def test_without_a_name_the_metric_is_of_pixels_where_there_are_maps() -> None:
    assert taken(folds_with({spec: [0.1, 0.2] for spec in GRID.specs}), Criterion()).metric == "pixel_AP"
    words = {"metrics": {"image_AUROC": 0.5, "image_AP": 0.4}}
    assert taken([[row(spec, 0, None, **words) for spec in GRID.specs]], Criterion()).metric == "image_AUROC"


def test_rows_of_other_seeds_and_methods_say_nothing() -> None:
    folds = folds_with({"m[a=1]": [0.1, 0.2], "m[a=2]": [0.2, 0.3], "m[a=3]": [0.1, 0.1]})
    other = folds_with({"m[a=1]": [0.9, 0.9], "m[a=2]": [0.2, 0.3], "m[a=3]": [0.1, 0.1], "n": [1.0, 1.0]}, seed=1)
    both = [[*one, *two] for one, two in zip(folds, other, strict=True)]
    assert (taken(both).spec, taken(both, seed=1).spec) == ("m[a=2]", "m[a=1]")


def curved(spec: str, fold: int, values: Sequence[float], *, extra: float | None = None) -> Row:
    """A row with a curve over epochs, whose last point it is itself; `extra` is a point within the first epoch."""
    points = [{"step": 2 * e, "epoch": float(e), "metrics": {"pixel_AP": v}} for e, v in enumerate(values, 1)]
    points += [] if extra is None else [{"step": 1, "epoch": 0.5, "metrics": {"pixel_AP": extra}}]
    return row(spec, fold, values[-1], facts={"eval_every": "epoch", "curve": points})


def test_epochs_are_compared_beside_points_and_the_training_stops_there() -> None:
    folds = [
        [curved("m[a=1]", 0, [0.1, 0.5, 0.3], extra=1.0), curved("m[a=2]", 0, [0.2, 0.3, 0.4]), row("m[a=3]", 0, 0.2)],
        [curved("m[a=1]", 1, [0.1, 0.6, 0.3], extra=1.0), curved("m[a=2]", 1, [0.2, 0.3, 0.9]), row("m[a=3]", 1, 0.2)],
    ]
    found = taken(folds, Criterion("pixel_AP", epochs=True))
    assert [(each.spec, each.epoch) for each in found.points] == [
        *(("m[a=1]", epoch) for epoch in (1, 2, 3)),
        *(("m[a=2]", epoch) for epoch in (1, 2, 3)),
        ("m[a=3]", None),  # it does not train
    ]
    assert (found.spec, found.epoch, found.stop_after) == ("m[a=2]", 3, None)  # the whole schedule
    early = taken(folds, Criterion("pixel_AP", "one-standard-error", epochs=True))
    assert (early.spec, early.epoch, early.stop_after) == ("m[a=1]", 2, 2)
    assert taken(folds).spec == "m[a=2]"
    assert [each.epoch for each in taken(folds).points] == [None] * 3


def test_an_epoch_that_a_fold_lacks_is_not_compared() -> None:
    folds = [[curved("m[a=1]", 0, [0.9, 0.5])], [curved("m[a=1]", 1, [0.9])]]
    assert [each.epoch for each in taken(folds, Criterion("pixel_AP", epochs=True)).points[:1]] == [1]
    mixed = [[curved("m[a=1]", 0, [0.9, 0.5]), row("m[a=2]", 0, 0.1)], [row("m[a=1]", 1, 0.9), row("m[a=2]", 1, 0.1)]]
    found = taken(mixed, Criterion("pixel_AP", epochs=True))
    assert (found.spec, found.points[0].why_not) == ("m[a=2]", "its curves have no epoch in common")
