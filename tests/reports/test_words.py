"""What words alone cause: means, deviations and verdicts of rows worked by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from statistics import fmean, stdev

import pytest

from stackclip.reports.document import Document
from stackclip.reports.writers import written
from stackclip.types import Row

FIRST = [0.80, 0.84, 0.70]  # at draws 0, 1, 2: the mean over two categories
OTHER = [0.81, 0.80, 0.78]


def row(method: str, draw: int, value: float, category: str = "c", *, read: bool = True, seed: int = 0) -> Row:
    words = {"words": draw, "reads_words": read} if draw else {}
    facts = {"tower": "toy", "protocol": f"p{draw}", **words}
    metrics = {"image_AUROC": value, "pixel_AUROC": value / 2}
    return Row(method, ("here",), "there", category, 0, seed, metrics=metrics, facts=facts)


def both(method: str, values: list[float], *, read: bool = True) -> list[Row]:
    """Two categories, whose mean is the value."""
    around = (("c", 0.01), ("d", -0.01))
    return [row(method, draw, value + by, name, read=read) for draw, value in enumerate(values) for name, by in around]


ROWS = [*both("first", FIRST), *both("other", OTHER), *both("still", [0.6] * 3, read=False)]


def test_below_each_method_that_reads_words_stands_what_it_is_in_all_wordings() -> None:
    [table] = Document(ROWS).tables
    lines = {(line.method, place): line for place, line in enumerate(table.lines)}
    assert [method for method, _ in lines] == ["first", "in 3 wordings", "other", "in 3 wordings", "still"]
    assert lines["first", 0].cells[0].value == pytest.approx(0.80)  # the words as they are
    for place, values in ((1, FIRST), (3, OTHER)):
        found = lines["in 3 wordings", place].cells[0]
        assert (found.value, found.spread) == pytest.approx((fmean(values), stdev(values)))
        assert found.interval == pytest.approx((min(values), max(values)))
        assert (found.counted, found.of) == (3, 3)
        pixel = lines["in 3 wordings", place].cells[1]
        assert pixel.spread == pytest.approx(stdev(values) / 2)


def test_differences_are_taken_draw_by_draw_and_told_against_what_words_move() -> None:
    [table] = Document(ROWS, metrics=("image_AUROC",)).tables
    legend, still, verdict, of_still = table.compared
    assert legend.startswith("in 3 wordings: mean, standard deviation, least and greatest")
    assert still == "still: no words are read, so none move it"
    # differences +1, -4, +8; first alone deviates by 7.2
    assert verdict == (
        "image AUROC: other - first +1.0 as the words are, which is less than words alone move first (±7.2); "
        "in 3 wordings +1.7 ±6.0, above 0 in 2"
    )
    assert "still - first -20.0 as the words are, which is no less than words alone move first" in of_still


def test_methods_that_are_equal_in_all_wordings_are_said_to_be() -> None:
    [table] = Document([*both("first", FIRST), *both("twin", FIRST)], metrics=("image_AUROC",)).tables
    assert table.compared[-1] == "image AUROC: twin and first are equal in all 3 wordings"


def test_a_draw_that_lacks_cells_counts_for_nothing_and_is_said() -> None:
    some = [each for each in ROWS if not (each.facts.get("words") == 2 and each.category == "d")]
    [table] = Document(some).tables
    found = table.lines[1].cells[0]
    assert (found.counted, found.of, found.value) == (2, 3, pytest.approx(fmean(FIRST[:2])))
    assert "(2 of 3)" in found.text


def test_seeds_are_means_within_a_draw() -> None:
    again = [replace(each, seed=1, metrics={"image_AUROC": each.metrics["image_AUROC"] + 0.02}) for each in ROWS]
    [table] = Document([*ROWS, *again], metrics=("image_AUROC",)).tables
    assert table.lines[1].cells[0].spread == pytest.approx(stdev(FIRST))
    assert table.lines[1].cells[0].value == pytest.approx(fmean(FIRST) + 0.01)


def test_categories_have_lines_of_their_own() -> None:
    [table] = Document(ROWS, per_category=True).tables
    own = [line for line in table.lines if line.category == "c"]
    assert own[1].cells[0].value == pytest.approx(fmean(FIRST) + 0.01)


def test_rows_without_the_words_as_they_are_stand_in_no_table_and_that_is_said() -> None:
    document = Document([each for each in ROWS if each.facts.get("words")])
    assert document.tables == ()
    assert document.notes == (
        "no table has 12 rows in other words (draws 1, 2): none is there in the words as they are",
    )


def test_rows_of_other_conditions_are_no_draw_of_these() -> None:
    others = [replace(each, facts={**each.facts, "asked_epochs": 3}) for each in ROWS if each.facts.get("words")]
    plain = [each for each in ROWS if not each.facts.get("words")]
    [table] = Document([*plain, *others]).tables
    assert [line.method for line in table.lines] == ["first", "other", "still"]


@pytest.mark.parametrize("suffix", [".md", ".txt", ".tex", ".html"])
def test_writers_show_them(suffix: str) -> None:
    text = written(Document(ROWS, metrics=("image_AUROC",)), suffix)
    assert "in 3 wordings" in text
    assert "for other pictures" not in text  # the brackets are no interval over pictures
    assert suffix != ".tex" or "over wordings that mean the same." in " ".join(text.split())


def test_sheets_hold_every_draw_and_say_which() -> None:
    lines = list(csv.DictReader(io.StringIO(written(Document(ROWS), ".csv"))))
    assert [line["words"] for line in lines] == [str(each.facts.get("words", 0)) for each in ROWS]
    plain = written(Document([each for each in ROWS if not each.facts.get("words")]), ".csv")
    assert "words" not in plain.splitlines()[0].split(",")


def test_a_method_that_was_not_measured_in_other_words_is_not_said_to_read_none() -> None:
    [table] = Document([*ROWS, *both("alone", [0.7])], metrics=("image_AUROC",)).tables
    assert "still: no words are read, so none move it" in table.compared
    assert "alone: not measured in other words" in table.compared
