"""COCO's files, decoded by a loop that only knows its definition."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from stackclip.conversions import convert
from stackclip.conversions.coco import column_counts
from stackclip.data import open_dataset


def decoded(segmentation: dict[str, list[int]]) -> np.ndarray:
    """Pixel by pixel down the columns: https://cocodataset.org/#format-data."""
    height, width = segmentation["size"]
    mask, place = np.zeros((height, width), bool), 0
    for number, count in enumerate(segmentation["counts"]):
        for _ in range(count):
            mask[place % height, place // height] = bool(number % 2)
            place += 1
    assert place == height * width
    return mask


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_runs_are_those_of_the_definition(share: float) -> None:
    mask = np.random.default_rng(0).random((7, 5)) < share
    counts = column_counts(mask, (0, 0), (7, 5))
    assert np.array_equal(decoded({"size": [7, 5], "counts": counts}), mask)
    assert min(counts[1:], default=1) > 0
    assert column_counts(np.array([[True, False], [True, True]]), (0, 0), (2, 2)) == [0, 2, 1, 1]
    inner = decoded({"size": [9, 8], "counts": column_counts(mask, (1, 3), (9, 8))})
    assert np.array_equal(inner, np.pad(mask, ((1, 1), (3, 0))))


def test_every_region_is_an_annotation_with_its_area_and_box(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:5, 3:9] = 255
    mask[5, 9] = 255  # touches by a corner
    mask[12:19, 20:22] = 255
    for name in ("nut/train/good/0.png", "nut/test/good/0.png", "nut/test/dent/1.png", "nut/test/hole/2.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(2).integers(60, 200, (20, 30, 3), dtype=np.uint8)).save(
            tmp_path / "in" / name
        )
    (tmp_path / "in/nut/ground_truth/dent").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "in/nut/ground_truth/dent/1_mask.png")
    done = convert(open_dataset(f"mine={tmp_path}/in", generated=tmp_path), "coco", tmp_path / "out")
    assert done.notes == ("1 defective picture without an annotation, as good ones are",)
    train, test = (
        json.loads((tmp_path / "out" / f"annotations_{split}.json").read_text()) for split in ("train", "test")
    )
    assert (len(train["images"]), train["annotations"]) == (1, [])
    assert [each["name"] for each in test["categories"]] == ["dent", "hole"]
    images = {each["id"]: each for each in test["images"]}
    assert all((tmp_path / "out" / each["file_name"]).is_file() for each in images.values())
    assert [(each["width"], each["height"]) for each in images.values()] == [(30, 20)] * 3
    regions, count = ndimage.label(mask, np.ones((3, 3)))
    assert len(test["annotations"]) == count == 2
    for number, each in enumerate(test["annotations"], 1):
        assert images[each["image_id"]]["defect"] == "dent"
        assert each["category_id"] == 1
        region = decoded(each["segmentation"])
        assert np.array_equal(region, regions == number)
        [(rows, columns)] = ndimage.find_objects(region.astype(int))
        box = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
        assert (each["bbox"], each["area"]) == (box, region.sum())
