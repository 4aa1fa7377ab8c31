"""A figure is marked where a paired test finds it better than the others, by draws that are made by hand."""

from __future__ import annotations

from base64 import b64encode

import numpy as np

from stackclip.metrics.uncertainty import DRAWS
from stackclip.reports.table import figure_of
from stackclip.reports.tested import marks_by_test
from stackclip.studies.significance import Inference
from stackclip.types import Row

NAME = "image_AUROC"
INFERENCE = Inference()


def row(method: str, value: float, *, worse: int = 0, category: str = "nut", pictures: str = "ab") -> Row:
    """A row whose draws are its value, but `worse` of them .2 less."""
    drawn = np.where(np.arange(DRAWS) < worse, value - 0.2, value)
    packed = b64encode(np.round(drawn * 65534).astype("<u2").tobytes()).decode()
    draws = {"count": DRAWS, "pictures": pictures, "values": {NAME: packed}}
    return Row(method, (), "mvtec", category, 0, 0, {NAME: value}, facts={"draws": draws})


def marks(*rows: Row, inference: Inference = INFERENCE) -> dict[str, int]:
    categories = {each.category for each in rows}
    methods = dict.fromkeys(each.method for each in rows)
    own = {method: [each for each in rows if each.method == method] for method in methods}
    figures = {name: figure_of(found, NAME, (0,), len(categories)) for name, found in own.items()}
    return marks_by_test(rows, figures, NAME, inference)


def test_the_best_and_the_second_are_marked_where_each_is_better_than_all_below() -> None:
    assert marks(row("c", 0.7), row("a", 0.9), row("b", 0.8)) == {"a": 1, "b": 2}


def test_a_difference_that_many_draws_do_not_show_is_none() -> None:
    # p is twice the share of draws on the other side: 24 of 1000 are p = .0499, 25 are p = .0519
    assert marks(row("a", 0.9, worse=23), row("b", 0.8)) == {"a": 1}
    assert marks(row("a", 0.9, worse=26), row("b", 0.8)) == {}


def test_the_best_has_to_be_better_than_each_and_nothing_is_second_to_a_tie() -> None:
    assert marks(row("a", 0.9, worse=100), row("b", 0.8), row("c", 0.3)) == {}
    assert marks(row("a", 0.9), row("b", 0.8, worse=100), row("c", 0.7)) == {"a": 1}


def test_what_looks_equal_is_no_better() -> None:
    assert marks(row("a", 0.9004), row("b", 0.9001)) == {}
    assert marks(row("a", 0.9), row("b", 0.9), row("c", 0.9)) == {}


def test_without_draws_or_on_other_pictures_or_alone_nothing_is_marked() -> None:
    assert marks(row("a", 0.9, pictures="cd"), row("b", 0.8)) == {}
    assert marks(row("a", 0.9)) == {}
    bare = [Row(name, (), "mvtec", "nut", 0, 0, {NAME: value}) for name, value in (("a", 0.9), ("b", 0.1))]
    assert marks(*bare) == {}


def test_a_mean_of_fewer_cells_is_no_match() -> None:
    whole = [row("a", 0.8, category=name) for name in ("nut", "pill")]
    others = [row("c", 0.6, category=name) for name in ("nut", "pill")]
    assert marks(*whole, *others, row("b", 0.9)) == {"a": 1}


def test_the_tests_of_one_method_are_corrected_together() -> None:
    # p = .03 of the best against each of two: by Holm .06
    rows = (row("a", 0.9, worse=14), row("b", 0.8), row("c", 0.75))
    assert marks(*rows) == {}
    assert marks(*rows, inference=Inference(correction="none")) == {"a": 1, "b": 2}


def test_over_categories_no_draws_are_needed_and_a_single_one_marks_nothing() -> None:
    places = [("nut", 0.0), ("cap", 0.01), ("pill", 0.02), ("hose", 0.005)]
    rows = [
        Row(name, (), "mvtec", each, 0, 0, {NAME: value + more * (1 + (name == "a"))})
        for each, more in places
        for name, value in (("a", 0.9), ("b", 0.8))
    ]
    assert marks(*rows, inference=Inference("categories")) == {"a": 1}
    assert marks(*rows[:2], inference=Inference("categories")) == {}
    assert marks(*rows) == {}
