"""Raw KolektorSDD: the labels say which commutators are cracked."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.data import open_dataset
from stackclip.data.masks import read_mask
from stackclip.errors import BadOption, DataError, PictureError
from stackclip.layouts.ksdd import CATEGORY, Ksdd
from stackclip.types import ANOMALOUS, NORMAL


def tree(root: Path) -> Path:
    values = {"kos01/Part0": 0, "kos01/Part1": 255, "kos02/Part0": 1, "kos10/Part0": 0}
    for stem, value in values.items():
        (root / stem).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 12)).save(root / f"{stem}.jpg")
        label = np.zeros((12, 5), np.uint8)
        label[3, 2] = value
        Image.fromarray(label).save(root / f"{stem}_label.bmp")
    return root


def test_a_label_above_0_is_a_crack(tmp_path: Path) -> None:
    samples = Ksdd().read(tree(tmp_path), "ksdd")
    assert [(sample.id, sample.label, sample.defect) for sample in samples] == [
        ("kos01/Part0.jpg", NORMAL, "good"),
        ("kos01/Part1.jpg", ANOMALOUS, "crack"),
        ("kos02/Part0.jpg", ANOMALOUS, "crack"),
        ("kos10/Part0.jpg", NORMAL, "good"),
    ]
    assert {sample.category for sample in samples} == {CATEGORY}
    assert {sample.split for sample in samples} == {"test"}
    assert [sample.mask for sample in samples][:2] == [None, tmp_path / "kos01/Part1_label.bmp"]


def test_the_first_commutators_can_be_kept_for_training(tmp_path: Path) -> None:
    samples = Ksdd(train_items=1).read(tree(tmp_path), "ksdd")
    assert [sample.split for sample in samples] == ["train", "train", "test", "test"]
    assert "the first 1 commutators train" in Ksdd(train_items=1).title
    with pytest.raises(DataError, match="3 commutators; train_items=3 leaves none to test"):
        Ksdd(train_items=3).read(tmp_path, "ksdd")
    with pytest.raises(BadOption, match="train_items=-1"):
        Ksdd(train_items=-1)


def test_the_last_fifth_of_the_commutators_is_tested_under_80_20(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"kos{number:02}").mkdir()
        for name in ("Part0.jpg", "Part0_label.bmp"):
            Image.new("L", (2, 2)).save(tmp_path / f"kos{number:02}" / name)
    splits = [sample.split for sample in Ksdd(protocol="80-20").read(tmp_path, "ksdd")]
    assert splits == ["train"] * 8 + ["test"] * 2


def test_crops_are_cut_at_thirds_and_keep_picture_and_label_together(tmp_path: Path) -> None:
    rows = np.arange(16, dtype=np.uint8)[:, None].repeat(5, axis=1)  # 16 rows: cut at 5 and 10
    (tmp_path / "raw/kos01").mkdir(parents=True)
    Image.fromarray(rows).save(tmp_path / "raw/kos01/Part0.png")
    Image.fromarray((rows == 5).astype(np.uint8)).save(tmp_path / "raw/kos01/Part0_label.bmp")
    found = open_dataset("ksdd[protocol=crops]", data_root=tmp_path / "raw", generated=tmp_path / "made")
    assert [(sample.id, sample.label) for sample in found] == [
        ("kos01/Part0-0.png", NORMAL),
        ("kos01/Part0-1.png", ANOMALOUS),
        ("kos01/Part0-2.png", NORMAL),
    ]
    cut = [np.asarray(Image.open(sample.image))[:, 0, 0].tolist() for sample in found]
    assert cut == [list(range(5)), list(range(5, 10)), list(range(10, 16))]
    masked = read_mask(found.samples[1], 5, rule="nearest")
    assert masked.any(axis=1).tolist() == [True, False, False, False, False]
    assert (found.layout, found.name, found.family) == ("ksdd[protocol=crops]", "ksdd-crops", "ksdd")


def test_crops_are_written_once_and_anew_when_the_pictures_change(tmp_path: Path) -> None:
    raw = tree(tmp_path / "raw")
    first = Ksdd(protocol="crops").prepare(raw, tmp_path / "made")
    stamp = (first / "kos01/Part0-0.png").stat().st_mtime_ns
    assert Ksdd(protocol="sdd").prepare(raw, tmp_path / "made") == first
    assert (first / "kos01/Part0-0.png").stat().st_mtime_ns == stamp
    Image.new("L", (5, 12), 9).save(raw / "kos01/Part0.jpg", quality=20)
    second = Ksdd(protocol="crops").prepare(raw, tmp_path / "made")
    assert second != first
    assert {path.name for path in (tmp_path / "made").iterdir()} == {first.name, second.name}
    assert Ksdd().prepare(raw, tmp_path / "made") == raw


def test_a_label_that_was_replaced_with_its_size_and_time_kept_is_cut_anew(tmp_path: Path) -> None:
    raw = tree(tmp_path / "raw")
    first = Ksdd(protocol="crops").prepare(raw, tmp_path / "made")
    label = raw / "kos01/Part0_label.bmp"
    before, content = label.stat(), label.read_bytes()
    with Image.open(label) as drawn:
        drawn.transpose(Image.Transpose.FLIP_TOP_BOTTOM).point(lambda value: 255 - value).save(label)
    os.utime(label, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert label.read_bytes() != content
    assert label.stat().st_size == before.st_size
    assert Ksdd(protocol="crops").prepare(raw, tmp_path / "made") != first


def test_a_picture_that_cannot_be_cut_leaves_nothing_behind(tmp_path: Path) -> None:
    raw = tree(tmp_path / "raw")
    Image.new("L", (5, 11)).save(raw / "kos02/Part0_label.bmp")
    with pytest.raises(PictureError, match=r"Part0_label\.bmp: label of 5 x 11 pixels for a picture of 5 x 12"):
        Ksdd(protocol="crops").prepare(raw, tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_sdd_tests_all_cracked_crops_and_181_others_drawn_by_seed(tmp_path: Path) -> None:
    (tmp_path / "kos01").mkdir(parents=True)
    for number in range(200):
        Image.new("L", (2, 3)).save(tmp_path / f"kos01/Part{number:03}.png")
        Image.new("L", (2, 3), number < 7).save(tmp_path / f"kos01/Part{number:03}_label.png")
    samples = Ksdd(protocol="sdd").read(tmp_path, "ksdd")
    assert Counter((sample.split, sample.label) for sample in samples) == {
        ("test", ANOMALOUS): 7,
        ("test", NORMAL): 181,
        ("train", NORMAL): 12,
    }
    assert Ksdd(protocol="sdd").read(tmp_path, "ksdd") == samples
    assert Ksdd(protocol="sdd", seed=1).read(tmp_path, "ksdd") != samples


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "sdd", "train_items": 3}, "train_items=3 is for protocol=whole or crops, not sdd"),
        ({"protocol": "80-20", "train_items": 3}, "not 80-20"),
        ({"seed": -1}, "seed=-1; wanted 0 or more"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        Ksdd(**options)


def test_a_picture_without_a_readable_label_is_refused(tmp_path: Path) -> None:
    (tree(tmp_path) / "kos01/Part0_label.bmp").write_bytes(b"BM")
    with pytest.raises(PictureError, match="Part0_label"):
        Ksdd().read(tmp_path, "ksdd")
    (tmp_path / "kos01/Part0_label.bmp").unlink()
    with pytest.raises(DataError, match=r"kos01/Part0\.jpg: no label; expected .*kos01/Part0_label\.bmp"):
        Ksdd().read(tmp_path, "ksdd")


def test_the_real_subset_has_eight_cracks_in_both_forms_of_label(shared: Path) -> None:
    samples = Ksdd().read(shared / "data/ksdd-mini", "ksdd")
    cracked = [sample for sample in samples if sample.label == ANOMALOUS]
    assert (len(samples), len(cracked)) == (64, 8)
    modes = set()
    for sample in cracked:
        assert sample.mask is not None
        with Image.open(sample.mask) as label:
            modes.add(label.mode)
        assert read_mask(sample, 224, rule="nearest").any()
    assert modes == {"L", "1"}
