"""Lists of names as they are typed."""

from __future__ import annotations

import itertools

import pytest

from stackclip.ops.typed import chosen, split_typed, typed_again


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a[x=1,y=2],b", ("a[x=1,y=2]", "b")),
        ("a\\, b", ("a, b",)),
        ("A, [b", ("A", "[b")),
        ("a]b,c", ("a]b", "c")),
        ("a(b,c", ("a(b", "c")),
        ("a\\[1,b\\]", ("a[1", "b]")),
        ("left=visa[split_csv=1cls],right=B", ("left=visa[split_csv=1cls]", "right=B")),
        (" , ", ()),
        ("a\\, b\\ , c ", ("a, b ", "c")),
        ("a\\\\,b\\c", ("a\\", "b\\c")),
    ],
)
def test_commas_separate_unless_they_are_in_brackets_or_escaped(text: str, names: tuple[str, ...]) -> None:
    assert split_typed(text) == names


NAMES = (
    "a,b",
    "a[1",
    "b]",
    "synthetic[part=training,x=2]",
    "x\\,y",
    "(",
    ",",
    "a\\b",
    "[a],[b]",
    "a[b,c",
    "plain",
    " a ",
    "a, ",
    "a\\",
    "\\(",
)


@pytest.mark.parametrize("names", [*itertools.product(NAMES, repeat=2), *((name,) for name in NAMES)])
def test_what_is_said_again_is_read_as_the_same_names(names: tuple[str, ...]) -> None:
    assert split_typed(typed_again(names)) == names


def test_a_category_that_is_there_as_a_whole_is_one() -> None:
    assert chosen(("a, b", "c,d"), ("a, b", "c", "d")) == ("a, b", "c", "d")


def test_a_text_that_names_nothing_chooses_nothing_that_is_there() -> None:
    assert [chosen((text,), ("a", "b")) for text in ("", " ", ",")] == [("",)] * 3
    assert chosen((), ("a", "b")) == ()
