"""Folders that were named: good and bad pictures, masks, and what stands behind a stem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.errors import DataError
from stackclip.layouts.folder import Folder
from stackclip.types import Sample

Plant = Callable[..., Path]


def read(root: Path, **words: tuple[str, ...]) -> dict[str, Sample]:
    return {sample.id: sample for sample in Folder(**words).read(root, "mine")}


def test_named_folders_lie_anywhere_and_in_any_case(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "lot1/Fine/1.png", "lot1/ng/2.png", "lot2/fine/1.png", "lot2/NG/2.png", "lot2/maybe/3.png")
    found = read(tmp_path, good=("fine",), bad=("ng",))
    assert {id: (each.category, each.defect) for id, each in found.items()} == {
        "lot1/Fine/1.png": ("lot1", "good"),
        "lot1/ng/2.png": ("lot1", "ng"),
        "lot2/fine/1.png": ("lot2", "good"),
        "lot2/NG/2.png": ("lot2", "NG"),
    }


def test_without_bad_the_neighbours_of_good_are_defects_and_masks_are_none(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "nut/train/fine/1.png", "nut/test/fine/2.png", "nut/test/dent/3.png", "nut/drawn/dent/3.png")
    found = read(tmp_path, good=("fine",), masks=("drawn",))
    assert {id: (each.category, each.split, each.defect) for id, each in found.items()} == {
        "nut/train/fine/1.png": ("nut", "train", "good"),
        "nut/test/fine/2.png": ("nut", "test", "good"),
        "nut/test/dent/3.png": ("nut", "test", "dent"),
    }
    assert found["nut/test/dent/3.png"].mask == tmp_path / "nut/drawn/dent/3.png"


def test_a_path_names_one_folder_and_the_root_is_a_point(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "1.png", "a/ng/2.png", "b/ng/3.png")
    found = read(tmp_path, good=(".",), bad=("a/ng",))
    assert {id: each.defect for id, each in found.items()} == {
        "1.png": "good",
        "a/ng/2.png": "ng",
        "b/ng/3.png": "good",
    }


def test_a_folder_elsewhere_can_be_named(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "here/ng/1.png", "there/fine/1.png")
    for word in (str(tmp_path / "there" / "fine"), "../there/fine"):
        found = read(tmp_path / "here", good=(word,), bad=("ng",))
        assert {id: (each.image, each.defect) for id, each in found.items()} == {
            "fine/1.png": (tmp_path / "there/fine/1.png", "good"),
            "ng/1.png": (tmp_path / "here/ng/1.png", "ng"),
        }


def test_a_bad_folder_without_pictures_of_its_own_holds_kinds(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "good/1.png", "bad/dent/2.png", "bad/hole/deep/3.png")
    assert {each.defect for each in read(tmp_path, bad=("bad",)).values()} == {"good", "dent", "hole"}
    plant(tmp_path, "bad/4.png")
    assert {each.defect for each in read(tmp_path, bad=("bad",)).values()} == {"good", "bad"}


def test_good_and_bad_that_never_share_a_folder_are_one_category(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "monday/ok/1.png", "tuesday/ng/2.png")
    assert {each.category for each in read(tmp_path, good=("ok",), bad=("ng",)).values()} == {tmp_path.name}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"good": ("fin",)}, r"no folder is called fin \(good=fin\); there are fine, ng"),
        ({"good": ("fine",), "bad": ("fine",)}, "fine: said to hold good and bad; name it once"),
        ({"good": ("fine",), "masks": ("ng",), "bad": ("ng",)}, "ng: said to hold masks and pictures"),
        ({"bad": ("nok",)}, r"no folder is called nok \(bad=nok\)"),
    ],
)
def test_words_that_name_nothing_or_too_much_are_refused(
    plant: Plant, tmp_path: Path, words: dict[str, tuple[str, ...]], message: str
) -> None:
    plant(tmp_path, "fine/1.png", "ng/2.png")
    with pytest.raises(DataError, match=message):
        read(tmp_path, **words)


def test_masks_beside_pictures_are_told_by_their_suffix(tmp_path: Path) -> None:
    for name in ("fine/1.png", "ng/2.png", "ng/12.png"):
        photograph(tmp_path / name)
    for name in ("ng/2-SEG.png", "ng/12-seg.png"):
        painted(tmp_path / name)
    found = read(tmp_path, good=("fine",), mask_suffix=("-seg.png",))
    assert {id: each.mask for id, each in found.items()} == {
        "fine/1.png": None,
        "ng/2.png": tmp_path / "ng/2-SEG.png",
        "ng/12.png": tmp_path / "ng/12-seg.png",
    }


def photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(path.name)).integers(60, 200, (32, 40, 3), dtype=np.uint8)).save(path)


def painted(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((32, 40), np.uint8)
    mask[4:9, 5:20] = 255
    Image.fromarray(mask).save(path)
