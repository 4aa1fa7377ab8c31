"""MVTec AD 2: splits with labels, splits without, and the folders of single downloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.data import open_dataset
from stackclip.errors import DataError
from stackclip.layouts.mvtec_ad2 import MvtecAd2
from stackclip.types import ANOMALOUS, NORMAL

Plant = Callable[..., Path]
NAMES = (
    *("train/good/000_regular.png", "validation/good/000_regular.png", "test_public/good/000_regular.png"),
    *("test_public/bad/000_regular.png", "test_public/bad/000_shift_1.png"),
    *(f"test_public/ground_truth/bad/000_{light}_mask.png" for light in ("regular", "shift_1")),
    *("test_private/000_regular.png", "test_private/001_regular.png", "test_private_mixed/000_mixed.png"),
)


@pytest.mark.parametrize("around", ["can/", "can/can/"])
def test_good_and_bad_share_stems_and_validation_is_a_split_of_its_own(
    plant: Plant, tmp_path: Path, around: str
) -> None:
    root = plant(tmp_path / "mvtec_ad_2", "license.txt", "readme.txt", *(around + name for name in NAMES))
    found = open_dataset("mvtec-ad2", data_root=tmp_path, generated=tmp_path)
    below = f"{around}test_public"
    assert [(each.split, each.id.removeprefix(around), each.label) for each in found] == [
        ("train", "train/good/000_regular.png", NORMAL),
        ("validation", "validation/good/000_regular.png", NORMAL),
        ("test", "test_public/bad/000_regular.png", ANOMALOUS),
        ("test", "test_public/bad/000_shift_1.png", ANOMALOUS),
        ("test", "test_public/good/000_regular.png", NORMAL),
    ]
    masks = [each.mask for each in found if each.mask]
    assert masks == [root / below / f"ground_truth/bad/000_{light}_mask.png" for light in ("regular", "shift_1")]
    assert "3 other pictures left out" in found.finding
    assert "other file" not in found.finding


@pytest.mark.parametrize(("test", "number"), [("private", 2), ("private_mixed", 1)])
def test_private_pictures_are_unlabelled_and_no_normal_ones(
    plant: Plant, tmp_path: Path, test: str, number: int
) -> None:
    plant(tmp_path, *(f"can/{name}" for name in NAMES))
    found = open_dataset(f"mvtec-ad2[test={test}]", data_root=tmp_path, generated=tmp_path)
    assert Counter(each.defect for each in found.select("test")) == {"unlabelled": number}
    assert f"test {number} unlabelled" in found.finding
    assert f"can has train 1 + 0 (published 412 + 0), test {number} + 0 (published 321 + 0)" in found.remark


def test_a_private_split_that_somebody_sorted_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "can/test_private/good/000_regular.png")
    with pytest.raises(DataError, match="test_private/good: wanted the pictures in test_private/ itself"):
        MvtecAd2(test="private").read(tmp_path, "mine")
    assert MvtecAd2().read(tmp_path, "mine") == ()
