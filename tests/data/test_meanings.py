"""Names of folders and files as people have them: no good picture becomes a defect, and no mask a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.data import open_dataset
from stackclip.data.labels import is_good, says_mask, without_ending
from stackclip.errors import DataError
from stackclip.types import ANOMALOUS


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(60, 200, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _mask(path: Path, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((16, 16), np.uint8)
    pixels[2:6, 2:6] = value
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("name", ["ok_front", "Good parts", "good_images", "OK-2", "normal_images", "anomaly_free"])
def test_a_good_word_beside_one_that_tells_nothing_is_good(name: str) -> None:
    assert is_good(name)


@pytest.mark.parametrize("name", ["not_good", "def_front", "ng", "nio", "abnormal", "ok_scratch", "pass_mark", "front"])
def test_a_good_word_beside_a_label_is_not(name: str) -> None:
    assert not is_good(name)


@pytest.mark.parametrize("mask", ["1-mask", "1.mask", "1 mask", "mask_1", "1_GT", "gt-1"])
def test_a_mask_is_known_by_its_name_beside_its_picture(tmp_path: Path, mask: str) -> None:
    _picture(tmp_path / "good" / "0.png")
    _picture(tmp_path / "crack" / "1.png")
    _mask(tmp_path / "crack" / f"{mask}.png")
    assert without_ending(mask) == "1"
    found = open_dataset(f"{tmp_path}/", generated=tmp_path / "g")
    assert [each.mask for each in found if each.label == ANOMALOUS] == [tmp_path / "crack" / f"{mask}.png"]


def test_numbered_masks_are_counted_and_no_defects(tmp_path: Path) -> None:
    _picture(tmp_path / "good" / "0.png")
    _picture(tmp_path / "crack" / "1.png")
    for number in range(2):
        _mask(tmp_path / "crack" / f"1_mask_{number}.png")
    assert says_mask("1_mask_0")
    assert not says_mask("1_masking")
    found = open_dataset(f"{tmp_path}/", generated=tmp_path / "g")
    assert [each.image.name for each in found if each.label == ANOMALOUS] == ["1.png"]
    assert "2 masks without a picture" in found.finding


def test_black_masks_beside_pictures_of_another_kind_are_not_scored(tmp_path: Path) -> None:
    for name, value in (("hole", 255), ("free", 0)):
        _picture(tmp_path / name / "1.jpg")
        _mask(tmp_path / name / "1.png", value)
    found = open_dataset(f"{tmp_path}/", generated=tmp_path / "g")
    assert [each.image.suffix for each in found] == [".jpg", ".jpg"]


@pytest.mark.parametrize("place", ["bad/good", "good/bad"])
def test_a_label_in_another_is_refused(tmp_path: Path, place: str) -> None:
    for folder in ("good", "bad", place):
        _picture(tmp_path / folder / f"{len(folder)}.png")
    with pytest.raises(DataError, match=r"is it (bad or good|good or bad)"):
        open_dataset(f"{tmp_path}/", generated=tmp_path / "g")
