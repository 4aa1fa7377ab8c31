"""Methods with one image score are told by the scores of single pictures, and their columns are said once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stackclip.benchmarks.sidecars import CellPictures
from stackclip.ops.small_maps import SMALL_SIDE
from stackclip.reports.alike import ScoreFinder, methods_alike
from stackclip.reports.document import Document
from stackclip.reports.writers import written
from stackclip.types import Row

SCORES = {"a": (0.5, 0.25), "b": (0.5, 0.25), "c": (0.5, 0.3), "d": (0.5, 0.25), "e": None}


def row(method: str, category: str = "nut", value: float = 0.75) -> Row:
    metrics = {"image_AUROC": value, "pixel_AUPRO": ord(method) / 200, "pixel_AUPRO_cflow200": ord(method) / 200}
    return Row(method, ("visa",), "mvtec", category, 0, 0, metrics)


def find(row: Row) -> CellPictures | None:
    """Two pictures with the scores of the method; of `e` nothing is known."""
    scores, square = SCORES[row.method], (2, SMALL_SIDE, SMALL_SIDE)
    if scores is None:
        return None
    labels, nothing = np.array([0, 1], np.uint8), np.zeros(square, bool)
    return CellPictures(("0", "1"), ("0", "1"), labels, ("good", "x"), nothing, nothing[:, 0, 0], np.array(scores))


def test_methods_are_alike_that_score_every_picture_alike_and_not_by_equal_figures() -> None:
    rows = [row(method, category) for method in "abcde" for category in ("nut", "pill")]
    assert methods_alike(rows, ScoreFinder(find)) == [("a", "b", "d")]
    assert methods_alike(
        [replace(each, error="x") if each.method == "b" else each for each in rows], ScoreFinder(find)
    ) == [("a", "d")]
    assert methods_alike(
        [each for each in rows if (each.method, each.category) != ("b", "pill")], ScoreFinder(find)
    ) == [("a", "d")]
    assert methods_alike([row("a"), row("b", value=0.7)], ScoreFinder(find)) == []


@pytest.mark.parametrize("per_category", [False, True])
def test_a_terminal_says_their_image_columns_once_and_why(per_category: bool) -> None:
    rows = [row(method, category) for method in "abcd" for category in ("nut", "pill")]
    text = written(Document(rows, find=find, per_category=per_category), ".txt")
    lines = [line.split() for line in text.splitlines() if line[1:2] in "abcd" and line[2:3] == " "]
    assert len(lines) == (12 if per_category else 4)
    said = ["75.0", '"', "75.0", "75.0"]  # d is not behind b
    assert [line[2 if per_category else 1] for line in lines] == said * (len(lines) // 4)
    assert '- a, b, d: one image score, so their image columns are the same; " is as above' in text
    apart = written(Document([each for each in rows if each.method != "b"], find=find), ".txt")
    assert "- a, d: one image score, so their image columns are the same\n" in apart
    assert '"' not in apart
    assert "one image score" not in written(Document(rows), ".txt")
    assert "one image score" not in written(Document(rows, find=find, metrics=("pixel_AUPRO",)), ".txt")


def test_where_they_differ_in_one_table_they_have_no_score_in_common() -> None:
    rows = [row("a"), row("b"), replace(row("a", value=0.5), test_on="visa"), replace(row("b"), test_on="visa")]
    assert Document(rows, find=find).one_score == ()
    assert Document(rows[:2], find=find).one_score == (("a", "b"),)


def test_two_metrics_of_one_name_are_told_apart_where_both_are_shown() -> None:
    both = written(Document([row("a")]), ".txt")
    assert both.count("200 thresholds") == 1
    assert "200 thresholds" not in written(Document([row("a")], metrics=("pixel_AUPRO",)), ".txt")
