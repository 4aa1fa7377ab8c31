"""Defects one by one: what a category's file and its masks say, and one clear line for each that says something odd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.data.defects import DEFECTS_CONFIG, DefectKind, read_defects, read_kinds
from stackclip.errors import DataError, PictureError
from stackclip.types import ANOMALOUS, Sample

ENTRY: dict[str, Any] = {
    "defect_name": "two pens",
    "pixel_value": 255,
    "saturation_threshold": 0.5,
    "relative_saturation": True,
}
FIXED = {**ENTRY, "defect_name": "wire", "pixel_value": 254, "saturation_threshold": 9, "relative_saturation": False}


def config(folder: Path, *entries: Any) -> Path:
    path = folder / DEFECTS_CONFIG
    path.write_text(json.dumps(list(entries)))
    return path


def picture(folder: Path, *masks: Any, defects: Path | None) -> Sample:
    """A picture of 6 x 8 pixels and a folder of masks."""
    image, place = folder / "000.png", folder / "masks"
    Image.new("RGB", (8, 6)).save(image)
    place.mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(np.asarray(mask)).save(place / f"{number:03}.png")
    return Sample("000.png", "toy", "box", "test", image, place, ANOMALOUS, "logical_anomalies", defects=defects)


def mask(value: int, shape: tuple[int, int] = (6, 8)) -> np.ndarray:
    """Two blobs of a value: 4 and 6 pixels."""
    found = np.zeros(shape, np.uint8)
    found[:2, :2] = found[4:6, 4:7] = value
    return found


@pytest.mark.parametrize(
    ("kind", "area", "saturation"),
    [
        (DefectKind("", 0.5, True), 89, 44),  # int(0.5 * 89)
        (DefectKind("", 1.0, True), 89, 89),
        (DefectKind("", 0.001, True), 89, 1),  # never nothing
        (DefectKind("", 90, False), 120, 90),
        (DefectKind("", 90, False), 30, 30),  # no more than there is
    ],
)
def test_saturation_is_a_share_of_the_defect_or_a_number_of_pixels(
    kind: DefectKind, area: int, saturation: int
) -> None:
    assert kind.saturation(area) == saturation


def test_each_file_is_one_defect_with_all_its_blobs(tmp_path: Path) -> None:
    whole, fixed = read_defects(picture(tmp_path, mask(255), mask(254), defects=config(tmp_path, ENTRY, FIXED)))
    np.testing.assert_array_equal(whole.pixels, np.flatnonzero(mask(1)))
    assert (whole.saturation, fixed.saturation) == (5, 9)


def test_a_picture_without_a_mask_or_a_file_of_defects_has_none(tmp_path: Path) -> None:
    assert read_defects(picture(tmp_path, mask(255), defects=None)) == ()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "holds an empty list"),
        (["pen"], "entry 1 is a str"),
        ([ENTRY, {"defect_name": "pen"}], "entry 2 lacks pixel_value, saturation_threshold, relative_saturation"),
        ([{**ENTRY, "relative_saturation": 1}], "neither true nor false as relative_saturation"),
        ([{**ENTRY, "pixel_value": 0}], r"entry 1 \(two pens\) has the pixel_value 0"),
        ([{**ENTRY, "pixel_value": "255"}], "has the pixel_value '255'"),
        ([{**ENTRY, "saturation_threshold": 1.5}], "saturation_threshold 1.5, wanted more than 0, up to 1"),
        ([{**FIXED, "saturation_threshold": 0}], "saturation_threshold 0, wanted more than 0, up to any number"),
        ([ENTRY, {**FIXED, "pixel_value": 255}], "two pens and wire both have the pixel_value 255"),
    ],
)
def test_a_file_of_defects_that_is_none_is_refused_in_one_line(tmp_path: Path, entries: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=f"{DEFECTS_CONFIG}: .*{said}.*; get it anew from the archive") as error:
        read_kinds(config(tmp_path, *entries))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "said"), [("{}", "holds a dict"), ("[", "not JSON"), (None, "cannot be read")])
def test_a_file_of_defects_that_is_no_list_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / DEFECTS_CONFIG
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=said):
        read_kinds(path)


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([mask(1)], "the value 1, which is not in defects_config.json; it has 255, 254; was it divided by 255"),
        ([mask(253)], "the value 253, which is not in defects_config.json; it has 255, 254$"),
        ([mask(0)], "no pixel above 0; .*was it divided by 255"),
        ([np.maximum(mask(254), np.eye(6, 8, dtype=np.uint8))], "the values 1, 254; wanted one defect's pixel_value"),
        ([mask(255, (6, 9))], "mask of 9 x 6 pixels for a picture of 8 x 6"),
        ([np.stack([mask(255)] * 3, -1)], "in colour or of more than 8 bits"),
        ([], "no mask file in"),
    ],
)
def test_a_mask_that_is_no_defect_of_the_file_is_refused_in_one_line(
    tmp_path: Path, masks: list[Any], said: str
) -> None:
    with pytest.raises(PictureError, match=said) as error:
        read_defects(picture(tmp_path, *masks, defects=config(tmp_path, ENTRY, FIXED)))
    assert "\n" not in str(error.value)


def test_a_file_of_defects_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"defects_config\.json: missing; copy it from the archive"):
        read_defects(picture(tmp_path, mask(255), defects=tmp_path / DEFECTS_CONFIG))
