"""Masks go to pictures by stem and folders, whatever the order of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.errors import DataError
from stackclip.layouts.folder import Folder

Plant = Callable[..., Path]


def masks(root: Path, **words: tuple[str, ...]) -> dict[str, str | None]:
    """The places of masks below the root, by the ids of defective pictures."""
    samples = Folder(**words).read(root, "mine")
    return {each.id: each.mask and each.mask.relative_to(root).as_posix() for each in samples if each.label}


def test_stems_pair_where_positions_and_parts_of_names_would_not(plant: Plant, tmp_path: Path) -> None:
    # 1 is contained in 11, and by position 2 would get the mask of 11.
    plant(tmp_path, "good/0.png", *(f"bad/{stem}.jpg" for stem in ("1", "11", "2")), "m/11.png", "m/2.png")
    assert masks(tmp_path, bad=("bad",), masks=("m",)) == {
        "bad/1.jpg": "m/1.png",  # lacks, and is expected there
        "bad/11.jpg": "m/11.png",
        "bad/2.jpg": "m/2.png",
    }


def test_the_folders_of_a_mask_say_whose_it_is(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "a/good/0.png", "a/dent/1.png", "a/hole/1.png", "b/good/0.png", "b/dent/1.png")
    plant(tmp_path, "a/gt2/dent/1_mask.png", "a/gt2/hole/1_mask.png", "b/gt2/dent/1_mask.png")
    assert masks(tmp_path, masks=("gt2",)) == {
        "a/dent/1.png": "a/gt2/dent/1_mask.png",
        "a/hole/1.png": "a/gt2/hole/1_mask.png",
        "b/dent/1.png": "b/gt2/dent/1_mask.png",
    }


def test_a_mask_of_one_defect_is_not_lent_to_another(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "good/0.png", "dent/1.png", "hole/7.png", "gt2/dent/7.png", "gt2/dent/1.png")
    assert masks(tmp_path, masks=("gt2",)) == {"dent/1.png": "gt2/dent/1.png", "hole/7.png": None}


def test_a_stem_that_nothing_else_has_pairs_across_folders(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "raw/ok/0.png", "raw/ng/1.png", "drawn/by_anna/1.png")
    assert masks(tmp_path, good=("ok",), bad=("ng",), masks=("drawn",)) == {"raw/ng/1.png": "drawn/by_anna/1.png"}


def test_two_masks_as_near_are_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "good/0.png", "dent/1.png", "m/1.png", "n/1.png")
    with pytest.raises(DataError, match=r"a mask of .*dent/1\.png, as .* is; name one folder: masks=NAME"):
        masks(tmp_path, masks=("m", "n"))


def test_one_mask_of_two_pictures_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "good/0.png", "dent/1.png", "hole/1.png", "m/1.png")
    with pytest.raises(DataError, match=r"m/1\.png: the mask of .* and of .*; give each a folder"):
        masks(tmp_path, masks=("m",))


def test_a_suffix_that_no_mask_has_is_answered_with_the_one_they_have(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "good/0.png", "dent/1.png", "dent/2.png", "m/1-s.png", "m/2-s.png")
    for words in ({"masks": ("m",)}, {"masks": ("m",), "mask_suffix": ("_x",)}):
        with pytest.raises(DataError, match=r"none of 2 masks has the stem .*; wanted mask_suffix=-s\?"):
            masks(tmp_path, **words)
    with pytest.raises(DataError, match=r"no mask called STEM_x"):
        masks(tmp_path, mask_suffix=("_x",))
