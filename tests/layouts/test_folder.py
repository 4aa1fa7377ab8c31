"""Anyone's own folders: labels where there are some, none where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.data import UNLABELLED
from stackclip.errors import DataError
from stackclip.layouts.folder import Folder
from stackclip.types import ANOMALOUS, NORMAL

Plant = Callable[..., Path]


def test_a_plain_folder_is_unlabelled_test_pictures_of_one_category(plant: Plant, tmp_path: Path) -> None:
    root = plant(tmp_path / "metal_plate", "b.png", "a.JPG", "monday/c.png", "monday/ground_truth/d.png", "notes.txt")
    samples = Folder().read(root, "metal_plate")
    assert [sample.id for sample in samples] == ["a.JPG", "b.png", "monday/c.png"]
    assert {(s.category, s.split, s.label, s.defect, s.mask) for s in samples} == {
        ("metal_plate", "test", NORMAL, UNLABELLED, None)
    }


def test_the_category_can_be_named(plant: Plant, tmp_path: Path) -> None:
    (sample,) = Folder(category="metal plate").read(plant(tmp_path, "a.png"), "mine")
    assert sample.category == "metal plate"


@pytest.mark.parametrize("good", ["good", "OK", "Normal"])
def test_a_good_folder_makes_the_others_defects(plant: Plant, tmp_path: Path, good: str) -> None:
    samples = Folder(category="cap").read(plant(tmp_path, f"{good}/1.png", "dent/2.png", "dent/late/3.png"), "mine")
    assert {(sample.id, sample.label, sample.defect) for sample in samples} == {
        (f"{good}/1.png", NORMAL, "good"),
        ("dent/2.png", ANOMALOUS, "dent"),
        ("dent/late/3.png", ANOMALOUS, "dent"),
    }
    assert {sample.mask for sample in samples} == {None}


def test_the_name_of_the_good_folder_is_an_option(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "fine/1.png", "dent/2.png")
    assert {sample.defect for sample in Folder().read(tmp_path, "mine")} == {UNLABELLED}
    assert [sample.label for sample in Folder(good=("Fine",)).read(tmp_path, "mine")] == [ANOMALOUS, NORMAL]


def test_masks_beside_the_labels_are_paired_and_are_no_class(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "good/1.png", "dent/2.png", "dent/3.png", "hole/4.png", "ground_truth/dent/2_mask.png")
    masks = {sample.id: sample.mask for sample in Folder().read(tmp_path, "mine")}
    assert masks == {
        "dent/2.png": tmp_path / "ground_truth/dent/2_mask.png",
        "dent/3.png": tmp_path / "ground_truth/dent/3_mask.png",
        "good/1.png": None,
        "hole/4.png": None,
    }


def test_several_categories_are_read_each_with_its_good_folder(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "caps/good/1.png", "caps/dent/2.png", "lids/ok/3.png")
    samples = Folder().read(tmp_path, "mine")
    assert [(sample.category, sample.id) for sample in samples] == [
        ("caps", "caps/dent/2.png"),
        ("caps", "caps/good/1.png"),
        ("lids", "lids/ok/3.png"),
    ]
    with pytest.raises(DataError, match=r"several categories \(caps, lids\)"):
        Folder(category="cap").read(tmp_path, "mine")
    with pytest.raises(DataError, match=r"odd: no folder of good pictures"):
        Folder().read(plant(tmp_path, "odd/4.png"), "mine")


def test_a_picture_beside_label_folders_is_refused(plant: Plant, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0\.png: beside folders that are labels"):
        Folder().read(plant(tmp_path, "good/1.png", "0.png"), "mine")
    with pytest.raises(DataError, match=r"5\.png: beside folders that are labels"):
        Folder().read(plant(tmp_path / "two", "caps/good/1.png", "5.png"), "mine")
