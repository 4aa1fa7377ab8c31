"""Numbers in sentences, and text that cannot act."""

from __future__ import annotations

import pytest
from PIL import ImageFont

from stackclip.ops.words import (
    agreed,
    chance,
    chance_digits,
    counted,
    drawable,
    duration,
    few_of,
    legible,
    one_line,
    size,
)


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


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Größe_1 – Löcher.jpeg", "Grosse_1 - Locher.jpeg"),
        ("gro\u0308ße.png", "grosse.png"),
        ("smørrebrød, łódź, œuf", "smorrebrod, lodz, oeuf"),
        ("…end, 5° «a»", "…end, 5° «a»"),
        ("划痕.png", "??.png"),
        ("\x1b[2J", "\\x1b[2J"),
    ],
)
def test_captions_have_only_letters_that_their_font_has(text: str, drawn: str) -> None:
    font = ImageFont.load_default(15)

    def painted(letter: str) -> tuple[tuple[int, int], bytes]:
        mask = font.getmask(letter)
        return mask.size, bytes(mask)

    assert drawable(text) == drawn
    assert painted("ö") == painted("\uffff")  # a box for want of a letter
    assert painted("\uffff") not in map(painted, drawable(text))


def test_a_few_names_are_said_and_how_many_more() -> None:
    assert few_of(["a", "b", "c"]) == "a, b, c"
    assert few_of({"a": None, "b": None, "c": None, "d": None}) == "a, b, c and 1 more"


def test_text_of_several_lines_becomes_one() -> None:
    assert one_line(ValueError("two\n  lines ")) == "two lines"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (820_200, "820.2 kB"), (19_400_000_000, "19.4 GB")],
)
def test_bytes_in_words(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.2 s"), (12.4, "12 s"), (59.4, "59 s"), (200, "3 min 20 s"), (119.6, "2 min 0 s"), (7260, "2 h 1 min")],
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("p", "digits"),
    [
        (1.0, "1.00"),
        (0.5, ".50"),
        (0.0951, ".10"),
        (0.0949, ".095"),
        (0.0324, ".032"),
        (0.001, ".001"),
        (0.0009, "< .001"),
    ],
)
def test_a_chance_has_the_digits_that_tell_anything(p: float, digits: str) -> None:
    assert chance_digits(p) == digits
    assert chance(p) == f"p {digits if digits.startswith('<') else f'= {digits}'}"
