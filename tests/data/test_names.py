"""What categories are called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackclip.data.names import NATURAL_NAMES, CategoryNames, category_name
from stackclip.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("category", "raw", "spaced", "natural"),
    [
        ("metal_nut", "metal_nut", "metal nut", "metal nut"),
        ("pcb1", "pcb1", "pcb1", "printed circuit board"),
        ("macaroni2", "macaroni2", "macaroni2", "macaroni"),
        ("chewinggum", "chewinggum", "chewinggum", "chewing gum"),
        ("pipe_fryum", "pipe_fryum", "pipe fryum", "pipe fryum"),
        ("bracket_black", "bracket_black", "bracket black", "black bracket"),
        ("electrical-commutators", "electrical-commutators", "electrical commutators", "electrical commutator"),
        ("Woven_068", "Woven_068", "Woven 068", "woven texture"),
        ("Class3", "Class3", "Class3", "textured surface"),
        ("02", "02", "02", "industrial product"),
        ("headct", "headct", "headct", "brain"),
        ("skin", "skin", "skin", "skin"),
        ("breakfast_box", "breakfast_box", "breakfast box", "breakfast box"),
        ("__", "__", "__", "__"),
    ],
)
def test_the_three_styles(category: str, raw: str, spaced: str, natural: str) -> None:
    assert category_name(category) == raw
    assert [category_name(category, style=style) for style in ("raw", "spaced", "natural")] == [raw, spaced, natural]


def test_a_natural_name_is_words_and_no_file_name() -> None:
    for category, name in NATURAL_NAMES.items():
        assert category == category.lower()
        assert name.replace(" ", "").isalpha()


@given(st.text())
def test_no_category_is_called_nothing(category: str) -> None:
    for style in ("raw", "spaced", "natural"):
        assert bool(category_name(category, style=style)) == bool(category)


def written(path: Path, content: object) -> CategoryNames:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return CategoryNames(str(path))


def test_a_file_names_categories_and_each_must_be_there(tmp_path: Path) -> None:
    names = written(tmp_path / "names.json", {"pcb1": "bare  board"})
    assert names("pcb1") == "bare board"
    assert names.style.endswith("names.json")
    with pytest.raises(DataError, match=r"no name for category 'pcb2' \(did you mean 'pcb1'\?\); add it"):
        names("pcb2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ([1], "holds a list; wanted one object"),
        ({"pcb1": 3}, "'pcb1' is called 3; wanted a word"),
        ({"pcb1": " "}, "wanted a word"),
        ({"pcb1": "a\nb"}, "on one line"),
        ({"pcb1": {"a": "b"}}, "wanted a word"),
        ('{"a": "b", "a": "c"}', "names 'a' twice"),
    ],
)
def test_a_file_that_is_not_so_is_refused_in_one_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        written(tmp_path / "names.json", content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'names.json'}: ")


def test_a_missing_file_and_an_unknown_style_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.json: cannot be read"):
        CategoryNames(str(tmp_path / "absent.json"))
    with pytest.raises(DataError, match=r"^~nobody-of-that-name/names\.json: cannot be read"):
        CategoryNames("~nobody-of-that-name/names.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not JSON"):
        CategoryNames(str(tmp_path / "bytes.json"))
    with pytest.raises(UsageError, match=r"no class names 'natrual' \(did you mean 'natural'\?\)"):
        CategoryNames("natrual")


def test_a_pipe_of_names_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match=r"pipe\.json: cannot be read \(is no regular file"):
        CategoryNames(str(tmp_path / "pipe.json"))
