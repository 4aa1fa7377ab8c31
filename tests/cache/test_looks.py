"""Looks at many files tell what a look at each one alone tells."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import numpy as np
import pytest

from stackclip.cache import looks
from stackclip.cache.looks import absolute, look_at
from stackclip.cache.sources import Role, state_of
from stackclip.errors import PictureError
from stackclip.ops.states import FileState


def alone(home: Path, role: Role) -> tuple[FileState, ...] | None:
    """What is seen of one."""
    try:
        return state_of(home, role)
    except PictureError:
        return None


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """Everything that may lie where a picture or a mask is looked for."""
    for name in ("a.png", "b.png", "folder/0.png", "folder/1.png", "folder/no picture.txt", "broken/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "linked").symlink_to("folder")
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    (tmp_path / "broken" / "1.png").symlink_to("gone.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.utime(tmp_path / "b.png", (-5, -5))
    return [*sorted(tmp_path.iterdir()), tmp_path / "gone.png", tmp_path / "a\0b.png", tmp_path / "a.png" / "x.png"]


@pytest.mark.parametrize("role", ["picture", "mask"])
def test_each_is_seen_as_alone_in_any_order(homes: list[Path], role: Role) -> None:
    for seed in range(20):
        chosen = Random(seed).choices(homes, k=seed)
        seen = look_at(chosen, role)
        expected = [alone(home, role) for home in chosen]
        assert [seen.states(at) for at in range(len(chosen))] == expected
        assert seen.there.tolist() == [files is not None for files in expected]
        assert seen.sizes.tolist() == [file.size for files in expected for file in files or ()]
        known = {6, 12}
        among = seen.where_all(np.isin(seen.sizes, list(known)))
        assert among.tolist() == [all(file.size in known for file in files or ()) for files in expected]


def test_numbers_beyond_signed_ones_are_seen_too(homes: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    class Large:
        def __init__(self, found: os.stat_result) -> None:
            self.found = found

        def __getattr__(self, name: str) -> int:
            value = getattr(self.found, name)
            return value + (1 << 63) if name == "st_ino" and value % 2 else value

    monkeypatch.setattr(looks.os, "stat", lambda path: Large(real(path)))
    chosen = [home for home in homes if home.name in ("a.png", "b.png", "link.png", "folder")]
    seen = look_at(chosen, "mask")
    assert [seen.states(at) for at in range(len(chosen))] == [alone(home, "mask") for home in chosen]
    assert {inode >= 0 for inode in seen.files[:, 1].tolist()} == {
        inode % 2 == 0 for inode in seen.files[:, 1].tolist()
    }


def test_paths_are_made_absolute_as_the_system_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        "a.png",
        "b/c.png",
        "b/../c.png",
        "../a",
        "..",
        ".",
        "/",
        "/a",
        "//a",
        "///a",
        "b/..",
        "/..",
        "é/\udcff.png",
    ]
    assert absolute(map(Path, names)) == [os.path.abspath(Path(name)) for name in names]  # noqa: PTH100 -- it is the oracle
