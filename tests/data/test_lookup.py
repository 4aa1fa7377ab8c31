"""PictureFinder are found by the names that files of others give them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from stackclip.data.lookup import PictureFinder, path_parts
from stackclip.errors import DataError

ROOT = Path("/data/parts")
NAMES = ("train/a.png", "val/a.png", "val/deep/b.png", "c d.png", "ü.png", "x.jpg", "other/x.png")
PICTURES = PictureFinder(ROOT / unicodedata.normalize("NFD", name) for name in NAMES)
WHERE = ROOT / "list.csv"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("train/a.png", "train/a.png"),
        ("val\\a.png", "val/a.png"),
        ("D:\\set\\val\\a.png", "val/a.png"),
        ("/home/me/set/train/a.png", "train/a.png"),
        ("../val/./a.png", "val/a.png"),
        ("b.png", "val/deep/b.png"),
        ("elsewhere/b.png", "val/deep/b.png"),
        ("c d.png", "c d.png"),
        ("ü.png", "ü.png"),
        ("absent.png", None),
        ("a", None),
        ("", None),
        ("/", None),
    ],
)
def test_the_picture_with_the_longest_end_in_common_is_meant(text: str, found: str | None) -> None:
    wanted = None if found is None else ROOT / unicodedata.normalize("NFD", found)
    assert PICTURES.find(text, WHERE) == wanted


def test_of_several_the_nearest_is_meant_and_none_of_two_as_near() -> None:
    assert PICTURES.find("a.png", ROOT / "train" / "labels.json") == ROOT / "train/a.png"
    assert PICTURES.find("a.png", ROOT / "val" / "deep" / "labels.json") == ROOT / "val/a.png"
    with pytest.raises(DataError, match=r"list\.csv: names 'a\.png', which may be .*train/a\.png or .*val/a\.png"):
        PICTURES.find("a.png", WHERE)
    assert PICTURES.beside(ROOT / "x.json", "x") == ROOT / "x.jpg"
    assert PICTURES.beside(ROOT / "other" / "x.json", "x") == ROOT / "other/x.png"


def test_parts_are_those_of_any_system() -> None:
    assert path_parts("C:\\a\\..\\b.png") == ("a", "b.png")
    assert path_parts("/a/b.png") == path_parts("./a/b.png") == ("a", "b.png")
