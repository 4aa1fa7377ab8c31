"""Masks belong to pictures by stem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stackclip.data.look import look_of
from stackclip.data.pairing import MaskFolder
from stackclip.errors import DataError


def masks_in(folder: Path, *names: str) -> MaskFolder:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return MaskFolder(folder)


def test_both_spellings_pair_whatever_the_extension(tmp_path: Path) -> None:
    masks = masks_in(tmp_path, "000_mask.png", "001.BMP", "a.b_mask.tif")
    assert masks.of(Path("000.jpg")) == tmp_path / "000_mask.png"
    assert masks.of(Path("001.png")) == tmp_path / "001.BMP"
    assert masks.of(Path("a.b.png")) == tmp_path / "a.b_mask.tif"


def test_a_gap_does_not_shift_the_masks_behind_it(tmp_path: Path) -> None:
    masks = masks_in(tmp_path, "000_mask.png", "002_mask.png")
    assert [masks.of(Path(f"{stem}.png")) for stem in ("000", "001", "002")] == [
        tmp_path / "000_mask.png",
        tmp_path / "001_mask.png",
        tmp_path / "002_mask.png",
    ]
    assert not (tmp_path / "001_mask.png").exists()


def test_the_path_expected_is_spelt_as_its_neighbours(tmp_path: Path) -> None:
    assert masks_in(tmp_path / "bare", "000.png").of(Path("001.jpg")) == tmp_path / "bare/001.png"
    assert masks_in(tmp_path / "empty").of(Path("001.jpg")) == tmp_path / "empty/001_mask.png"


def test_other_endings_can_be_named_and_are_the_only_ones(tmp_path: Path) -> None:
    masks_in(tmp_path, "000_label.PNG", "001.PNG")
    masks = MaskFolder(tmp_path, endings=("_label",))
    assert masks.find(Path("000.PNG")) == tmp_path / "000_label.PNG"
    assert masks.find(Path("001.PNG")) is None
    assert masks.of(Path("001.PNG")) == tmp_path / "001_label.png"
    assert MaskFolder(tmp_path / "absent", endings=("_label",)).find(Path("000.PNG")) is None


def test_a_folder_of_files_is_a_mask(tmp_path: Path) -> None:
    (tmp_path / "000").mkdir()
    assert MaskFolder(tmp_path).of(Path("000.png")) == tmp_path / "000"


def test_other_signs_between_stem_and_ending_pair_and_two_of_them_are_refused(tmp_path: Path) -> None:
    for name in ("1-mask.png", "mask_2.png", "3-mask.png", "3.mask.png", "4-mask.png", "4_mask.png"):
        (tmp_path / name).touch()
    masks = MaskFolder(tmp_path)
    found = [masks.find(Path(f"{stem}.jpg")) for stem in ("1", "2", "4", "5")]
    assert [each and each.name for each in found] == ["1-mask.png", "mask_2.png", "4_mask.png", None]
    with pytest.raises(DataError, match=r"both 3-mask\.png and 3\.mask\.png claim to be one mask"):
        masks.find(Path("3.jpg"))


def test_no_folder_means_that_nothing_is_localised(tmp_path: Path) -> None:
    assert MaskFolder(tmp_path / "absent").of(Path("000.png")) is None


def test_two_files_for_one_stem_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"both 000_mask\.bmp and 000_mask\.png claim to be one mask"):
        masks_in(tmp_path, "000_mask.png", "000_mask.bmp")


@given(stems=st.sets(st.integers(0, 99).map(str), min_size=1), lacking=st.sets(st.integers(0, 99).map(str)))
def test_any_set_of_stems_pairs_with_itself(
    tmp_path_factory: pytest.TempPathFactory, stems: set[str], lacking: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("masks")
    masks = masks_in(folder, *(f"{stem}_mask.png" for stem in stems - lacking))
    for stem in stems:
        mask = masks.of(Path(f"{stem}.png"))
        assert mask == folder / f"{stem}_mask.png"
        assert mask.exists() == (stem not in lacking)


@pytest.mark.parametrize("name", ["m.png", "m.jpg", "m.webp", "m.tif"])
def test_two_values_are_two_through_any_codec_and_a_photograph_is_none_of_them(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    how = {"compression": "jpeg", "quality": 85} if name == "m.tif" else {"quality": 85} if name != "m.png" else {}
    values = np.zeros((64, 64), np.uint8)
    values[20:40, 12:50] = 255
    Image.fromarray(values).save(path, **how)
    assert look_of(path) == "mask"
    noise = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **how)
    assert look_of(path) == "photograph"
