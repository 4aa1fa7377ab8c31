"""CSV that a spreadsheet reads as it was meant, and never runs."""

from __future__ import annotations

import csv
import io

import pytest

from stackclip.ops.spreadsheet import csv_text


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_numbers_stand_at_full_precision_and_nothing_is_an_empty_cell() -> None:
    text = csv_text(["a", "b"], [[1 / 3, -2], [None, ""]])
    assert text == f"a,b\n{1 / 3},-2\n,\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\t =", "'=", '"=', "  @", "\xa0+", "\n-"])
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(start: str) -> None:
    [_, [cell]] = cells(csv_text(["name"], [[f"{start}HYPERLINK(1)"]]))
    assert cell.startswith("'")
    assert cell.endswith("HYPERLINK(1)")


@pytest.mark.parametrize("text", ["größe", "日本", "a b", "a-b", "50 %", "x=1", 'say "no"', "a,b", " a"])
def test_other_text_is_left_alone_and_read_back_as_it_was(text: str) -> None:
    assert cells(csv_text([text], [[text]])) == [[text], [text]]


@pytest.mark.parametrize("act", ["\x1b[2J", "\x9b31m", "a\nb", "a\r\nb", "\u202egnp", "\x00", "\udcff", "\u2028"])
def test_text_is_one_line_that_does_nothing(act: str) -> None:
    text = csv_text(["name"], [[act], ["next"]])
    assert text.splitlines() == text.split("\n")[:-1]
    assert len(text.splitlines()) == 3
    assert all(letter == "\n" or letter.isprintable() for letter in text)
    assert text.encode()
