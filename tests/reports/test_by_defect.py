"""Tables by kind of defect, and columns that are asked for: worked by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from stackclip.errors import UsageError
from stackclip.metrics import ON_REQUEST
from stackclip.reports.columns import METRICS, columns_named
from stackclip.reports.document import Document
from stackclip.reports.writers import written
from stackclip.types import Row


def kind(value: float, **more: Any) -> dict[str, Any]:
    return {"pictures": 2, "metrics": {"image_AUROC": value}, "undefined": {"pixel_AUPRO": "no map"}, **more}


def row(method: str, category: str, seed: int, **kinds: float) -> Row:
    facts = {"by_defect": {name: kind(value) for name, value in kinds.items()}}
    metrics = {"image_AUROC": 0.5, "pixel_AUsPRO@0.05": 0.25}
    return Row(method, ("visa",), "mvtec", category, 0, seed, metrics=metrics, facts=facts)


ROWS = [
    row("sdp", "nut", 0, scratch=0.5, bent=0.9),
    row("sdp", "cap", 0, scratch=0.7),
    row("sdp", "nut", 1, scratch=0.6, bent=0.8),
    row("sdp", "cap", 1, scratch=0.8),
    row("clip", "nut", 0, scratch=0.4),
]
NO_SPRO = {"pixel_AUsPRO@0.3": "no map", "image_AP": "one label", "pixel_AUsPRO@1": "no map"}


def first_cells(**view: Any) -> dict[tuple[str, str], str]:
    _, table = Document(ROWS, per_defect=True, **view).tables
    assert table.by_defect
    return {(line.category, line.method): line.cells[0].text for line in table.lines}


def test_a_figure_is_the_mean_over_the_categories_that_have_the_kind_within_a_seed_then_over_seeds() -> None:
    assert first_cells() == {
        ("bent", "sdp"): "85.0 ±5.0",
        ("scratch", "sdp"): "65.0 ±5.0",  # of (.5 + .7) / 2 and (.6 + .8) / 2
        ("scratch", "clip"): "40.0 (1 of 4)",
    }


def test_kinds_of_one_name_have_lines_of_their_own_where_categories_have() -> None:
    found = first_cells(per_category=True)
    assert found["nut: scratch", "sdp"] == "55.0 ±5.0"
    assert found["cap: scratch", "sdp"] == "75.0 ±5.0"


def test_without_rows_that_tell_kinds_there_is_no_such_table_and_none_unless_it_is_asked_for() -> None:
    assert len(Document(ROWS).tables) == 1
    bare = [Row("sdp", ("visa",), "mvtec", "nut", 0, 0, metrics={"image_AUROC": 0.5})]
    assert len(Document(bare, per_defect=True).tables) == 1


@pytest.mark.parametrize("suffix", [".txt", ".md", ".tex"])
def test_every_writer_names_the_kinds(suffix: str) -> None:
    text = written(Document(ROWS, per_defect=True), suffix)
    assert "by kind of defect, each with all good pictures" in text
    for word in ("defect", "scratch", "bent", "85.0"):
        assert word in text
    assert "category" not in text


def test_columns_are_shown_on_request_alone() -> None:
    assert Document(ROWS).tables[0].metrics == ("image_AUROC",)
    chosen = columns_named(["auroc_sp", "pixel_AUsPRO@0.05", "image_AUROC"])
    document = Document(ROWS, metrics=chosen)
    assert document.tables[0].metrics == ("image_AUROC", "pixel_AUsPRO@0.05")
    assert document.tables[0].lines[0].cells[1].text == "25.0 ±0.0"
    assert not document.notes


def test_a_column_that_no_row_has_is_named() -> None:
    [note] = Document(ROWS, metrics=("image_AUROC", "image_AUROC_logical")).notes
    assert note.startswith("no row has image_AUROC_logical: only data sets of logical and structural")


def test_how_far_what_is_binned_may_be_off_is_said_where_it_is_shown() -> None:
    facts = {"saturation": {"form": "streamed", "bounds": {"pixel_AUsPRO@0.05": 2e-6}}}
    binned = [Row("sdp", ("visa",), "loco", "nut", 0, 0, metrics={"pixel_AUsPRO@0.05": 0.25}, facts=facts)]
    assert not Document(binned).notes
    [note] = Document(binned, metrics=("pixel_AUsPRO@0.05",)).notes
    assert note == "sPRO is binned: the exact one differs by at most 2e-06"


def test_a_column_that_is_no_metric_is_refused_with_what_is_near() -> None:
    with pytest.raises(UsageError, match=r"no metric 'pixel_AUsPR@0\.05' \(did you mean 'pixel_AUsPRO@0\.05'\?\)"):
        columns_named(["pixel_AUsPR@0.05"])
    assert len(set(ON_REQUEST) - set(METRICS)) == 21


def test_a_spreadsheet_has_the_columns_of_what_rows_have_and_no_others() -> None:
    [first, *_] = csv.DictReader(io.StringIO(written(Document(ROWS), ".csv")))
    assert first["pixel_AUsPRO@0.05"] == "0.25"
    assert not [name for name in first if name in ON_REQUEST and name != "pixel_AUsPRO@0.05"]
    assert "defect" not in first
    bare = [replace(each, metrics={"image_AUROC": 0.5}) for each in ROWS]
    assert set(next(csv.DictReader(io.StringIO(written(Document(bare), ".csv"))))) == set(first) - {"pixel_AUsPRO@0.05"}
    [lacking] = csv.DictReader(
        io.StringIO(written(Document([replace(ROWS[0], metrics={}, undefined=NO_SPRO)]), ".csv"))
    )
    assert lacking["pixel_AUsPRO@0.3"] == lacking["pixel_AUsPRO@1"] == ""
    assert lacking["undefined"] == "pixel_AUsPRO@0.3, pixel_AUsPRO@1: no map; image_AP: one label"


def test_a_spreadsheet_by_kind_has_a_line_for_the_category_and_one_for_each_kind() -> None:
    lines = list(csv.DictReader(io.StringIO(written(Document(ROWS, per_defect=True), ".csv"))))
    found = [(line["method"], line["category"], line["seed"], line["defect"], line["image_AUROC"]) for line in lines]
    assert found[:5] == [
        ("sdp", "nut", "0", "", "0.5"),
        ("sdp", "nut", "0", "bent", "0.9"),
        ("sdp", "nut", "0", "scratch", "0.5"),
        ("sdp", "cap", "0", "", "0.5"),
        ("sdp", "cap", "0", "scratch", "0.7"),
    ]
    assert {line["undefined"] for line in lines if line["defect"]} == {"pixel_AUPRO: no map"}
    assert {line["pixel_AUsPRO@0.05"] for line in lines} == {"0.25", ""}
    assert len(written(Document(ROWS, per_defect=True), ".jsonl").splitlines()) == len(ROWS)
