"""Names that every file system keeps apart, and folders that are known again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackclip.ops.outputs import MARKER, folder_name, is_output, is_unique_name, mark_output, unique_name, unique_names

PATHS = ["A.png", "a.png", "a b.png", "a_b.png", "x/1.png", "x_1.png", "1.png", "1.jpg", "é.png", "e\u0301.png"]
ODD = ["CON.png", "nul.tar.png", "-rf.png", "..png", "…/缺陷.png", "a" * 300 + ".png", "trailing .png", "\u202egnp.png"]


def test_names_differ_also_where_case_and_composition_are_lost() -> None:
    assert len({unique_name(path).lower() for path in PATHS + ODD}) == len(PATHS + ODD)
    assert [unique_name(path) for path in PATHS] == [unique_name(path) for path in PATHS]


def test_a_plain_stem_that_no_other_has_is_the_name_and_all_others_have_a_digest() -> None:
    names = unique_names([*PATHS, *ODD, "x/bottle_7.png", "y/Scratch-1.jpg"])
    assert len({name.lower() for name in names.values()}) == len(names)
    plain = {path for path, name in names.items() if not is_unique_name(name)}
    assert plain == {"a_b.png", "x_1.png", "x/bottle_7.png", "y/Scratch-1.jpg"}
    assert names["x/bottle_7.png"] == "bottle_7"


@pytest.mark.parametrize("path", PATHS + ODD)
def test_a_name_is_short_and_plain(path: str) -> None:
    name = unique_name(path)
    assert name.isascii()
    assert len(name) <= 80
    assert not set(name) & set('<>:"/\\|?*. ')
    assert name[0] != "-"
    assert is_unique_name(name)


def test_a_plain_method_has_a_folder_of_its_name_and_others_have_one_as_unique() -> None:
    assert folder_name("april-gan") == "april-gan"
    others = ["winclip[shots=4]", "winclip[shots=2]", "con", "SDP", "a[weights=/x/y.pth]", "sdp-0123456789abcdef"]
    assert all(is_unique_name(folder_name(spec)) for spec in others)
    assert folder_name("winclip[shots=4]").startswith("winclip_shots_4-")


def test_a_marked_folder_is_known_wherever_it_was_moved(tmp_path: Path) -> None:
    mark_output(tmp_path / "a" / "b")
    (tmp_path / "a" / "b").rename(tmp_path / "c")
    assert is_output(tmp_path / "c")
    assert not is_output(tmp_path / "a")
    for content in ("{", "[]", '{"type": "other"}'):
        (tmp_path / "a" / MARKER).write_text(content)
        assert not is_output(tmp_path / "a")
