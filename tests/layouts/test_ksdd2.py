"""KolektorSDD2: every picture has a mask, strays of the archive are passed by, and protocols part ways."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.data import open_dataset
from stackclip.errors import BadOption, DataError, PictureError
from stackclip.layouts.ksdd2 import Ksdd2
from stackclip.types import ANOMALOUS, NORMAL


def pair(root: Path, name: str, value: int = 0) -> None:
    """A picture, and a mask with one pixel of a value."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 9), 90).save(root / f"{name}.png")
    mask = np.zeros((9, 4), np.uint8)
    mask[7, 1] = value
    Image.fromarray(mask).save(root / f"{name}_GT.png")


def tree(root: Path) -> Path:
    for name, value in {
        "train/10000": 0,
        "train/10001": 255,
        "test/20000": 0,
        "test/20001": 1,
        "test/20002": 0,
    }.items():
        pair(root, name, value)
    pair(root, "train/10301 (copy)", 255)
    (root / "train/10301_GT (copy).png").write_bytes(b"a stray")
    (root / "split_weakly_246.pyb").write_bytes(b"cos\nsystem\n")
    return root


def test_a_mask_above_0_is_a_defect_and_strays_are_passed_by(tmp_path: Path) -> None:
    root = tree(tmp_path / "KolektorSDD2")
    found = open_dataset("ksdd2", data_root=tmp_path, generated=tmp_path)
    assert [(each.id, each.split, each.label) for each in found] == [
        ("train/10000.png", "train", NORMAL),
        ("train/10001.png", "train", ANOMALOUS),
        ("test/20000.png", "test", NORMAL),
        ("test/20001.png", "test", ANOMALOUS),
        ("test/20002.png", "test", NORMAL),
    ]
    assert [each.mask for each in found if each.mask] == [root / "train/10001_GT.png", root / "test/20001_GT.png"]
    assert found.left_out == ()
    assert "train 1 + 1 (published 2085 + 246), test 2 + 1 (published 894 + 110)" in found.remark


def test_the_other_protocol_tests_all_defects_and_as_many_good_ones(tmp_path: Path) -> None:
    tree(tmp_path)
    for number in range(400):
        pair(tmp_path, f"test/3{number:04}")
    read = {seed: Ksdd2(protocol="356", seed=seed).read(tmp_path, "ksdd2") for seed in (0, 1)}
    assert Counter((each.split, each.label) for each in read[0]) == {
        ("test", NORMAL): 356,
        ("test", ANOMALOUS): 2,
        ("train", NORMAL): 1 + 402 - 356,
    }
    assert Ksdd2(protocol="356").read(tmp_path, "ksdd2") == read[0] != read[1]
    tested = {each.id for each in read[0] if each.split == "test"}
    assert {"train/10001.png", "test/20001.png"} < tested
    assert "train/10000.png" not in tested
    assert open_dataset("ksdd2[protocol=356]", data_root=tmp_path, generated=tmp_path).name == "ksdd2-356"


def test_a_path_is_taken_for_it(tmp_path: Path) -> None:
    found = open_dataset(str(tree(tmp_path / "plates")), generated=tmp_path)
    assert (found.layout, found.name, found.family) == ("ksdd2", "plates", "ksdd2")


def test_what_is_half_unpacked_is_told_in_one_line(tmp_path: Path) -> None:
    pair(tmp_path, "train/10000")
    with pytest.raises(DataError, match="no folder test/ of KolektorSDD2: is it wholly unpacked"):
        Ksdd2().read(tmp_path, "ksdd2")
    pair(tmp_path, "test/20000")
    pair(tmp_path, "test/20001")
    (tmp_path / "test/20001_GT.png").unlink()
    with pytest.raises(DataError, match=r"test: 1 picture without a mask, 20001\.png for one; wanted 20001_GT\.png"):
        Ksdd2().read(tmp_path, "ksdd2")
    (tmp_path / "test/20001_GT.png").write_bytes(b"")
    with pytest.raises(PictureError, match=r"20001_GT\.png"):
        Ksdd2().read(tmp_path, "ksdd2")
    with pytest.raises(BadOption, match="seed=-1"):
        Ksdd2(seed=-1)
