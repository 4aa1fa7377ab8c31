"""The sheet of examples: what was kept beside rows, as varied as there is room for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.benchmarks.sidecars import CellPictures
from stackclip.inspection import examples
from stackclip.inspection.examples import SheetPicture, draw_sheet, varied
from stackclip.types import Row

DEFECTS = ("good", "hole", "cut")


def row(method: str, category: str, root: Path, **words: Any) -> Row:
    facts = {"tested": {"place": str(root), "content": "x"}, "note": "no real numbers"}
    return Row(method, ("a",), "own", category, 0, 0, facts=facts, **words)


def kept(of: Row, **words: Any) -> CellPictures:
    names = tuple(f"{of.category}/{number}.png" for number in range(3))
    peak = np.zeros((3, 64, 64), np.uint8)
    peak[:, 8, 9] = 255
    given = {
        "ids": names,
        "images": names,
        "labels": np.array([0, 1, 1], np.uint8),
        "defects": DEFECTS,
        "masks": np.zeros((3, 64, 64), bool),
        "localised": np.array([True, True, True]),
        "levels": peak,
        "low": np.array([1.0, 2.0, 3.0]),
        "high": np.array([2.0, 4.0, 6.0]),
    }
    return CellPictures(**{**given, **words})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, category in enumerate(("nut", "pill")):
        (tmp_path / category).mkdir()
        for place in range(3):
            Image.new("RGB", (20, 20), (100 * number, 50 * place, 0)).save(tmp_path / category / f"{place}.png")
    return tmp_path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the sheet was drawn of."""
    seen: dict[str, Any] = {}
    sheet = examples.sheet

    def look(pictures: Any, masks: Any, maps: Any, **words: Any) -> Image.Image:
        seen.update(pictures=pictures, masks=masks, maps=maps, **words)
        return sheet(pictures, masks, maps, **words)

    monkeypatch.setattr(examples, "sheet", look)
    return seen


def test_a_sheet_shows_pictures_with_the_maps_that_were_kept_of_them(root: Path, drawn: dict[str, Any]) -> None:
    rows = [row(method, category, root) for method in ("musc", "clip") for category in ("nut", "pill")]
    without = {"levels": None, "low": None, "high": None}
    there, lacking = draw_sheet(
        rows, lambda row: kept(row, **(without if row.method == "clip" else {})), root / "sheet.png", count=4
    )
    assert (there, lacking) == (True, ())
    assert drawn["names"] == ["nut, good", "nut, hole", "pill, cut", "nut, cut"]
    assert [picture.getpixel((0, 0)) for picture in drawn["pictures"]] == [
        *((0, 0, 0), (0, 50, 0), (100, 100, 0), (0, 100, 0))
    ]
    assert list(drawn["maps"]) == ["musc"]
    assert [(found.min(), found.max()) for found in drawn["maps"]["musc"]] == [(1, 2), (2, 4), (3, 6), (3, 6)]
    assert all(found.argmax() == 8 * 64 + 9 for found in drawn["maps"]["musc"])
    assert drawn["note"] == "no real numbers"
    with Image.open(root / "sheet.png") as image:
        assert image.height > image.width


def test_methods_of_which_nothing_was_kept_are_named_and_have_no_column(root: Path, drawn: dict[str, Any]) -> None:
    rows = [row("musc", "nut", root), row("sdp", "nut", root), row("bad", "nut", root, error="it fell")]
    found = draw_sheet(rows, lambda row: kept(row) if row.method == "musc" else None, root / "sheet.png")
    assert found == (True, ("sdp",))
    assert list(drawn["maps"]) == ["musc"]
    partly = [*rows, row("musc", "pill", root), row("sdp", "pill", root)]
    draw_sheet(partly, lambda row: kept(row) if (row.method, row.category) != ("sdp", "nut") else None, root / "s.png")
    assert list(drawn["maps"]) == ["musc"]


@pytest.mark.parametrize("rows", [0, 1])
def test_without_anything_kept_there_is_no_sheet(root: Path, rows: int) -> None:
    some = [row("musc", "nut", root)][:rows]
    assert draw_sheet(some, lambda row: None, root / "sheet.png") == (False, ("musc",)[:rows])
    assert not (root / "sheet.png").exists()


def test_pictures_whose_masks_could_not_be_used_are_not_shown(root: Path, drawn: dict[str, Any]) -> None:
    usable = np.array([True, False, True])
    draw_sheet([row("musc", "nut", root)], lambda row: kept(row, localised=usable), root / "sheet.png")
    assert drawn["names"] == ["nut, good", "nut, cut"]


def test_new_categories_and_new_defects_come_first_and_one_in_eight_is_good() -> None:
    places = [("own", name) for name in "abc"]
    every = [
        SheetPicture(place, n, int(n > 1), ("good", "good", "x", "y", "x")[n]) for place in places for n in range(5)
    ]
    chosen = varied(every, 8)
    assert [(each.category, each.defect) for each in chosen[:4]] == [("a", "good"), ("a", "x"), ("b", "y"), ("c", "x")]
    assert len(chosen) == 8
    assert sum(each.label == 0 for each in chosen) == 1
    assert len(set(chosen)) == 8
    assert len(varied(every, 40)) == 5 + 9  # five good ones, and all that are not


def test_maps_are_of_the_picture_beside_them_whatever_another_method_left_out(
    root: Path, drawn: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    names = tuple(f"nut/{number}.png" for number in (2, 0, 1))
    turned = {"ids": names, "images": names, "low": np.array([30.0, 10.0, 20.0]), "high": np.array([31.0, 11.0, 21.0])}
    usable = np.array([True, False, True])  # so that the picture in the middle is not chosen
    short = {"ids": names[:1], "images": names[:1], "labels": np.array([1], np.uint8), "defects": ("cut",)}
    short |= {"masks": np.zeros((1, 64, 64), bool), "localised": np.array([True])}
    short |= {"levels": np.zeros((1, 64, 64), np.uint8), "low": np.array([7.0]), "high": np.array([8.0])}
    words: dict[str, Any] = {"first": {"localised": usable}, "other": turned, "short": short}
    rows = [row(method, "nut", root) for method in words]
    found = draw_sheet(rows, lambda row: kept(row, **words[row.method]), root / "sheet.png")
    assert drawn["names"] == ["nut, good", "nut, cut"]
    assert [each.min() for each in drawn["maps"]["first"]] == [1, 3]
    assert [each.min() for each in drawn["maps"]["other"]] == [10, 30]
    assert [*drawn["maps"]] == ["first", "other"]
    assert found == (True, ())
    assert "for short: they left out pictures" in caplog.text
