"""Who teaches whom: tables of rows drawn at random, against loops over them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import pytest

from stackclip.errors import StackclipError, UsageError
from stackclip.reports.document import Document
from stackclip.reports.selection import transferred
from stackclip.reports.transfer_plot import draw_transfer, plot_transfer
from stackclip.reports.transfer_rows import Itself, transfer_rows
from stackclip.reports.writers import written
from stackclip.studies.transfer import Refused, Transfer
from stackclip.types import Row

NAMES = ("a", "b", "c")
CATEGORIES = {"a": ("x",), "b": ("x", "y"), "c": ("z",)}
SEEDS = (0, 1)
TRAININGS = [*(((one,), other) for one, other in permutations(NAMES, 2)), (("b", "c"), "a"), (("a", "c"), "b")]
TRAININGS += [(("a", "b"), "c")]


def rows_of(method: str, trainings: list[tuple[tuple[str, ...], str]], draw: int = 0) -> list[Row]:
    draws = np.random.default_rng([draw, *method.encode()])
    return [
        Row(
            method, trained, tested, category, 0, seed, metrics=_metrics(draws), facts={"tower": "toy", "note": "a toy"}
        )
        for trained, tested in trainings
        for category in CATEGORIES[tested]
        for seed in SEEDS
    ]


def _metrics(draws: np.random.Generator) -> dict[str, float]:
    return {"image_AUROC": draws.random(), "pixel_AUPRO": draws.random()}


ROWS = [*rows_of("taught", TRAININGS), *rows_of("plain", [((), name) for name in NAMES])]
TRANSFER = Transfer(NAMES)


def by_hand(rows: list[Row], metric: str, trained: tuple[str, ...], tested: str) -> list[float]:
    """The mean over categories, for each seed."""
    found = []
    for seed in SEEDS:
        values = [r.metrics[metric] for r in rows if (r.train_on, r.test_on, r.seed) == (trained, tested, seed)]
        found.append(sum(values) / len(values))
    return found


@pytest.mark.parametrize("metric", ["image_AUROC", "pixel_AUPRO"])
def test_a_cell_is_the_mean_over_categories_and_a_line_ends_with_the_mean_off_the_diagonal(metric: str) -> None:
    own = ROWS[: len(rows_of("taught", TRAININGS))]
    [grid] = [each for each in Document(ROWS, transfer=TRANSFER).tables if each.title.startswith(f"{metric}, taught")]
    lines = {line.method: line.cells for line in grid.lines}
    assert grid.metrics == (*NAMES, "mean", "above singles")
    for trained in NAMES:
        others = [name for name in NAMES if name != trained]
        for tested in others:
            seeds = by_hand(own, metric, (trained,), tested)
            cell = lines[trained][NAMES.index(tested)]
            assert (cell.value, cell.spread) == pytest.approx((fmean(seeds), pstdev(seeds)))
        assert isinstance(lines[trained][NAMES.index(trained)], Itself)
        every = [by_hand(own, metric, (trained,), tested) for tested in others]
        assert lines[trained][3].value == pytest.approx(fmean(map(fmean, every)))
        assert lines[trained][3].spread == pytest.approx(pstdev(map(fmean, zip(*every, strict=True))))
        gains = [fmean(by_hand(own, metric, (trained,), each)) - _usual(own, metric, each) for each in others]
        assert lines[trained][4].value == pytest.approx(fmean(gains))
    for tested in NAMES:
        rest = tuple(name for name in NAMES if name != tested)
        assert lines["all others"][NAMES.index(tested)].value == pytest.approx(
            fmean(by_hand(own, metric, rest, tested))
        )
        assert lines["mean of single sets"][NAMES.index(tested)].value == pytest.approx(_usual(own, metric, tested))
    off = [fmean(by_hand(own, metric, (one,), other)) for one, other in permutations(NAMES, 2)]
    assert lines["mean of single sets"][3].value == pytest.approx(fmean(off))


def _usual(rows: list[Row], metric: str, tested: str) -> float:
    return fmean(fmean(by_hand(rows, metric, (name,), tested)) for name in NAMES if name != tested)


def test_the_summary_has_all_methods_with_all_others_and_those_that_are_not_trained_in_a_line() -> None:
    first, second, *grids = Document(ROWS, transfer=TRANSFER).tables
    assert first.title == "image_AUROC, trained on all other data sets, tested on each, 2 seeds"
    assert [line.method for line in first.lines] == ["taught", "plain (not trained)"]
    plain = [each for each in ROWS if each.method == "plain"]
    assert first.lines[1].cells[0].value == pytest.approx(fmean(by_hand(plain, "image_AUROC", (), "a")))
    assert second.over_shots == "pixel_AUPRO"
    assert {grid.title.split(":")[0] for grid in grids} == {"image_AUROC, taught", "pixel_AUPRO, taught"}


def test_a_method_that_no_training_moves_has_a_line_and_no_table() -> None:
    same = [replace(each, method="same", metrics={"image_AUROC": 0.5}) for each in rows_of("same", TRAININGS)]
    tables = Document([*ROWS, *same], transfer=TRANSFER).tables
    assert "same (the same whatever is trained on)" in [line.method for line in tables[0].lines]
    assert not [table for table in tables if table.title.startswith("image_AUROC, same")]


def test_a_pair_that_was_refused_is_empty_and_the_reason_stands_below() -> None:
    refused = (Refused("a", "b", "both have x"), Refused("b", "a", "both have x"))
    kept = [each for each in ROWS if {*each.train_on, each.test_on} != {"a", "b"} and len(each.train_on) < 2]
    others = rows_of("taught", [(("a", "b"), "c")])
    document = Document([*kept, *others], transfer=Transfer(NAMES, refused), metrics=("image_AUROC",))
    [grid] = [each for each in document.tables if "taught" in each.title]
    lines = {line.method: line.cells for line in grid.lines}
    assert (lines["a"][1].value, lines["a"][1].why) == (None, "both have x")
    assert (lines["a"][3].counted, lines["a"][3].of) == (1, 2)
    assert lines["all others"][0].value == lines["c"][0].value
    assert "n/a, b after a: both have x" in document.notes
    assert "all others of a are c, without b" in document.notes
    assert not [note for note in document.notes if "not measured" in note]


def test_what_was_not_measured_is_said_and_two_trainings_of_one_size_are_not_all_others() -> None:
    some = [each for each in ROWS if each.train_on in ((), ("a",), ("b",))]
    document = Document(some, transfer=TRANSFER, metrics=("image_AUROC",))
    assert document.tables[0].lines[0].cells[2].value is None  # a or b alone, of c
    assert "n/a, not measured: taught on a after c" in document.notes


def test_what_was_asked_otherwise_or_lies_elsewhere_is_another_table() -> None:
    asked = [replace(each, facts={**each.facts, "asked_epochs": 3}) for each in ROWS]
    assert len(transfer_rows([*ROWS, *asked], TRANSFER)) == 2
    here, there = (
        [
            replace(each, facts={**each.facts, "tested": {"place": f"{place}/{each.test_on}", "content": "c"}})
            for each in ROWS
        ]
        for place in ("here", "there")
    )
    first, second = transfer_rows([*here, *there], TRANSFER)
    assert (first.which, second.which) == ("data 1", "data 2")
    assert {*second.places.values()} == {"there/a", "there/b", "there/c"}
    assert len(first.rows) == len(ROWS)


def test_rows_in_other_words_and_of_other_sets_are_no_part() -> None:
    worded = [replace(each, facts={**each.facts, "words": 1}) for each in ROWS]
    far = [replace(each, test_on="far") for each in ROWS]
    [found] = transfer_rows([*ROWS, *worded, *far], TRANSFER)
    assert found.rows == tuple(ROWS)


@pytest.mark.parametrize("suffix", [".md", ".txt", ".tex", ".html"])
def test_writers_write_them_as_other_tables(suffix: str) -> None:
    text = written(Document(ROWS, transfer=TRANSFER), suffix)
    assert all(word in text for word in ("trained on", "all others", "mean of single sets", "plain (not trained)"))


def test_what_else_is_asked_for_comes_behind() -> None:
    tables = Document(ROWS, transfer=TRANSFER, per_category=True).tables
    assert [table.title for table in tables[4:6]] == [
        "trained on a, tested on b, mean over 2 categories, 2 seeds",
        "trained on a, tested on c, mean over 1 category, 2 seeds",
    ]
    assert "by category" in written(Document(ROWS, transfer=TRANSFER, per_category=True), ".tex")


def test_rows_are_found_again_by_the_names_of_sets() -> None:
    far = [replace(each, test_on="far") for each in ROWS]
    held, transfer = transferred([*ROWS, *far], NAMES)
    assert (held, transfer) == (ROWS, TRANSFER)
    changed = [replace(each, facts={**each.facts, "reported": {"earlier": 1}}) for each in ROWS]
    assert transferred([*ROWS, *changed], NAMES)[0] == ROWS
    with pytest.raises(UsageError, match="name two or more"):
        transferred(ROWS, ["a"])
    with pytest.raises(StackclipError, match="no row was trained or tested on 'd'"):
        transferred(ROWS, ["a", "d"])
    with pytest.raises(StackclipError, match="some are made by: stackclip bench --transfer"):
        transferred([each for each in ROWS if not {"a", "b"} >= {*each.train_on, each.test_on}], ["a", "b"])


def test_the_picture_has_a_panel_for_each_method_and_metric_with_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = draw_transfer(Document(ROWS, transfer=TRANSFER).transfers)
    above, below = figure.subfigs
    assert [panel.get_title() for panel in below.axes] == ["image AUROC", "pixel AUPRO"]
    [grid] = [each for each in Document(ROWS, transfer=TRANSFER).tables if each.title.startswith("image_AUROC, taught")]
    shown = {text.get_text() for text in below.axes[0].texts}
    values = [
        cell for line in grid.lines for place, cell in enumerate(line.cells) if place != 3 and cell.value is not None
    ]
    assert shown == {f"{100 * (cell.value or 0):{'+' if cell.signed else ''}.1f}" for cell in values}
    names = [label.get_text() for label in below.axes[0].get_yticklabels()]
    assert names == [*NAMES, "mean of single sets", "all others"]
    assert [label.get_text() for label in above.axes[0].get_xticklabels()] == [*NAMES, "mean"]
    plot_transfer(Document(ROWS, transfer=TRANSFER).transfers, tmp_path / "x.svg")
    assert (tmp_path / "x.svg").stat().st_size > 0
    with pytest.raises(StackclipError, match="bench --transfer measures them"):
        plot_transfer([], tmp_path / "y.png")


def test_what_is_refused_is_hatched_and_the_diagonal_is_not(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    kept = [each for each in ROWS if (each.train_on, each.test_on) != (("a",), "b")]
    transfer = Transfer(NAMES, (Refused("a", "b", "why"),))
    _, below = draw_transfer(Document(kept, transfer=transfer).transfers).subfigs
    hatched = [patch for patch in below.axes[0].patches if patch.get_hatch()]
    assert len(hatched) == 1
