"""Folders are listed in a fixed order, without litter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackclip.data.listing import folders_in, pictures_below, pictures_in, place_below
from stackclip.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pictures_are_sorted_and_litter_is_left_out(tmp_path: Path) -> None:
    touch(
        tmp_path, "b.PNG", "a.jpeg", "c.Tiff", "._a.jpeg", ".hidden.png", "Thumbs.db", "notes.txt", "png", "d.png/x.png"
    )
    assert [path.name for path in pictures_in(tmp_path)] == ["a.jpeg", "b.PNG", "c.Tiff"]


def test_folders_are_sorted_and_litter_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "b/x.png", "a/x.png", ".git/x.png", "__MACOSX/x.png", "@eaDir/x.png", "file.png")
    assert [path.name for path in folders_in(tmp_path)] == ["a", "b"]


def test_pictures_below_come_folder_by_folder(tmp_path: Path) -> None:
    touch(tmp_path, "z.png", "b/2.png", "b/a/1.png", "a/3.png")
    found = [path.relative_to(tmp_path).as_posix() for path in pictures_below(tmp_path)]
    assert found == ["z.png", "a/3.png", "b/2.png", "b/a/1.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert [path.name for path in pictures_below(tmp_path)] == ["loop.png", "1.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_a_pipe_with_the_name_of_a_picture_is_listed_so_that_reading_names_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert pictures_in(tmp_path) == [tmp_path / "pipe.png"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: cannot be listed"):
        pictures_in(tmp_path / "absent")


@pytest.mark.skipif(os.name != "posix", reason="only POSIX names are bytes")
def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DataError, match="is not UTF-8: rename it"):
        pictures_in(tmp_path)


def test_a_place_below_a_folder_is_what_pathlib_says() -> None:
    names = ["a", "a/b.png", "ab/c.png", "a/../c.png", "/", "/a", "/a/b/c.png", ".", "..", "../a", "é/d.png"]
    for path in map(Path, names):
        for folder in map(Path, names):
            if path.is_relative_to(folder):
                assert place_below(path, folder) == path.relative_to(folder).as_posix()
            else:
                with pytest.raises(ValueError, match="is not in the subpath of"):
                    place_below(path, folder)
