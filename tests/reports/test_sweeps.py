"""What is said of a grid: against hand-worked means."""

from __future__ import annotations

from itertools import product

from stackclip.reports.sweeps import swept
from stackclip.reports.table import Figure, TableLine

METRICS = ("image_AUROC", "image_AP", "pixel_AUPRO")


def line(method: str, *values: float | None, counted: int = 2) -> TableLine:
    return TableLine(method, None, tuple(Figure(value, counted=counted, of=2) for value in values))


def test_a_grid_has_its_range_its_best_point_and_the_mean_at_each_value() -> None:
    image = {("1", "1"): 0.5, ("1", "10"): 0.7, ("2", "1"): 0.6, ("2", "10"): 0.9}
    lines = [
        line(f"a[clusters={k},head=efa[temperature={t}]]", image[k, t], 0.1, None)
        for k, t in product("12", ("1", "10"))
    ]
    assert list(swept([*lines, line("b", 0.99, 0.1, 0.2)], METRICS)) == [
        "a, 4 points, image AUROC: 50.0 to 90.0, in hindsight best at clusters=2, head.temperature=10; "
        "means: clusters 1 60.0, 2 75.0; head.temperature 1 55.0, 10 80.0",
        "a, 4 points, pixel AUPRO: of none",
    ]


def test_ties_are_counted_and_what_is_not_given_is_a_value() -> None:
    [said] = swept([line("a", 0.5), line("a[k=2]", 0.5), line("a[k=3]", None)], ["image_AUROC"])
    assert said == (
        "a, 3 points, 1 of them left out: measured on less, image AUROC: 50.0 to 50.0, "
        "in hindsight best at k=default and 1 more; "
        "means: k default 50.0, 2 50.0, 3 n/a"
    )


def test_a_mean_of_fewer_categories_is_no_match_for_the_others() -> None:
    [said] = swept([line("a[k=1]", 0.5), line("a[k=2]", 0.95, counted=1), line("a[k=3]", 0.6)], ["image_AUROC"])
    assert "1 of them left out: measured on less" in said
    assert "50.0 to 60.0, in hindsight best at k=3; means: k 1 50.0, 2 n/a, 3 60.0" in said


def test_two_methods_of_one_name_are_no_grid() -> None:
    assert list(swept([line("a", 0.5), line("a[k=2]", 0.6)], ["image_AUROC"])) == []


def test_names_that_cannot_be_read_are_in_no_grid() -> None:
    names = ("[2ex]", "a[b", "a]", "a[=1]", "", "a[b=1]", "a[b=2]", "a[b=3]")
    assert len(list(swept([line(name, 0.5, 0.5, None) for name in names], METRICS))) == 2


def test_what_was_selected_of_a_grid_is_no_point_of_it() -> None:
    points = [line("a[k=1]", 0.5), line("a[k=2]", 0.7), line("a[k=3]", 0.6)]
    assert list(swept([*points, line("a[k=1|2|3]", 0.9)], ["image_AUROC"])) == list(swept(points, ["image_AUROC"]))
    assert not list(swept([*points[:2], line("a[k=1|2]", 0.7)], ["image_AUROC"]))
