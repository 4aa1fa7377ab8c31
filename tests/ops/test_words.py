"""Numbers in sentences, and text that cannot act."""

from __future__ import annotations

import pytest

from stackclip.ops.words import agreed, counted, few_of, legible, one_line


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 pictures have"), (1, "1 picture has"), (2, "2 pictures have"), (11, "11 pictures have")]
)
def test_nouns_and_verbs_go_with_their_number(number: int, said: str) -> None:
    assert f"{counted(number, 'picture')} {agreed('have', number)}" == said
    assert {agreed(verb, 1) for verb in ("are", "were", "lack")} == {"is", "was", "lacks"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 1.png", "größe 1.png"),
        ("gro\u0308ße", "gro\u0308ße"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31mred", "\\x9b31mred"),
        ("a\nERROR forged", "a\\nERROR forged"),
        ("a\r\u2028b\u2029\x85", "a\\r\\u2028b\\u2029\\x85"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066a\u200f", "\\u2066a\\u200f"),
        ("\udcff.png", "\\udcff.png"),
        ("\x00\x7f", "\\x00\\x7f"),
    ],
)
def test_text_from_files_is_one_line_that_does_nothing(text: str, shown: str) -> None:
    assert legible(text) == shown
    assert shown.encode()


def test_a_few_names_are_said_and_how_many_more() -> None:
    assert few_of(["a", "b", "c"]) == "a, b, c"
    assert few_of({"a": None, "b": None, "c": None, "d": None}) == "a, b, c and 1 more"


def test_text_of_several_lines_becomes_one() -> None:
    assert one_line(ValueError("two\n  lines ")) == "two lines"
