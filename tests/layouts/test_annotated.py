"""What holds for all formats of annotations: masks on disk, EXIF, sizes, splits, and which layout wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackclip.data import read_mask, read_picture
from stackclip.data.detection import detect_layout
from stackclip.errors import PictureError
from stackclip.layouts.coco import Coco
from stackclip.types import GOOD, UNLABELLED, Sample

Make = Callable[..., Any]
Pixels = Callable[[Sample], NDArray[np.bool_]]


def drawn(stem: str, label: str = "dent", size: tuple[int, int] = (12, 16), shift: float = 0) -> dict[str, Any]:
    """LabelMe's file about a picture with one square."""
    points = [[2 + shift, 3], [5 + shift, 3], [5 + shift, 7], [2 + shift, 7]]
    shapes = [{"label": label, "points": points, "shape_type": "polygon"}]
    return {"shapes": shapes, "imagePath": f"{stem}.jpg", "imageHeight": size[0], "imageWidth": size[1]}


def test_an_edited_annotation_gives_a_new_mask_and_an_old_one_is_not_drawn_again(
    photo: Make, document: Make, opened: Make, tmp_path: Path
) -> None:
    photo(tmp_path / "a.jpg")
    document(tmp_path / "a.json", drawn("a"))
    (first,) = opened(tmp_path)
    assert first.mask is not None
    written = first.mask.stat().st_mtime_ns
    assert opened(tmp_path).samples == (first,)
    assert first.mask.stat().st_mtime_ns == written
    document(tmp_path / "a.json", drawn("a", shift=1))
    (second,) = opened(tmp_path)
    assert second.mask is not None
    assert second.mask != first.mask
    assert first.mask.parent == second.mask.parent


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("annotated", ["upright", "stored"])
def test_the_mask_lies_as_the_picture_is_read(
    photo: Make, document: Make, opened: Make, tmp_path: Path, orientation: int, annotated: str
) -> None:
    """The square that is annotated is painted bright in the file: where the picture is read bright the mask is set."""
    root = tmp_path / "parts"
    path = photo(root / "a.png", 12, 16, orientation)
    with Image.open(path) as picture:
        values, exif = np.zeros((12, 16, 3), np.uint8), picture.getexif()
    values[3:7, 2:5] = 255
    Image.fromarray(values).save(path, exif=exif)
    seen = np.asarray(read_picture(path))[:, :, 0] > 0
    there = seen if annotated == "upright" else values[:, :, 0] > 0
    rows, columns = there.any(axis=1).nonzero()[0], there.any(axis=0).nonzero()[0]
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    content = drawn("a", size=there.shape)  # type: ignore[arg-type]  # two sides
    content["shapes"][0]["points"] = [[left, top], [right, top], [right, bottom], [left, bottom]]
    document(root / "a.json", content)
    exif_option = "" if orientation > 4 else f"[exif={'applied' if annotated == 'upright' else 'ignored'}]"
    (sample,) = opened(root, f"labelme{exif_option}")
    assert sample.mask is not None
    np.testing.assert_array_equal(np.asarray(Image.open(sample.mask)) > 0, seen)


def test_an_annotation_of_another_size_is_said_and_its_mask_refused_alone(
    photo: Make, document: Make, opened: Make, tmp_path: Path
) -> None:
    root = tmp_path / "parts"
    for name in "ab":
        photo(root / f"{name}.jpg")
    document(root / "a.json", drawn("a", size=(24, 32)))
    document(root / "b.json", drawn("b"))
    found = opened(root)
    assert "1 picture is annotated at another size (a.jpg)" in str(found.warnings)
    with pytest.raises(PictureError, match=r"mask of 32 x 24 pixels for a picture of 16 x 12 \(a\.jpg\)"):
        read_mask(found.samples[0], 12)
    assert read_mask(found.samples[1], 12).any()


def test_a_picture_that_cannot_be_read_keeps_its_label(
    photo: Make, document: Make, opened: Make, tmp_path: Path
) -> None:
    photo(tmp_path / "b.jpg")
    document(tmp_path / "a.jpg", "no picture")
    for name in "ab":
        document(tmp_path / f"{name}.json", drawn(name))
    assert [(each.defect, each.mask is None) for each in opened(tmp_path)] == [("dent", True), ("dent", False)]


def test_a_folder_of_good_pictures_needs_no_annotation(
    photo: Make, document: Make, opened: Make, tmp_path: Path
) -> None:
    for name in ("good/a.jpg", "good/b.jpg", "bad/c.jpg", "bad/d.jpg"):
        photo(tmp_path / "parts" / name)
    document(tmp_path / "parts/bad/c.json", drawn("c", label="a/b\n  c"))
    document(tmp_path / "parts/good/b.json", drawn("b", label="good-looking"))
    found = opened(tmp_path / "parts")
    assert {each.id: each.defect for each in found} == {
        "good/a.jpg": GOOD,
        "good/b.jpg": "good-looking",
        "bad/c.jpg": "a-b c",
        "bad/d.jpg": UNLABELLED,
    }
    assert "1 picture is in a folder of good ones and annotated with a defect (good/b.jpg): defective" in str(
        found.warnings
    )


@pytest.mark.parametrize(
    ("folders", "splits", "note"),
    [
        (("train", "val"), ["train", "test"], "no picture is called test, some validation: these are tested"),
        (("train",), ["test"], "all pictures are called train: these are tested"),
        (("train", "test"), ["test", "train"], ""),
        (("",), ["test"], ""),
    ],
)
def test_some_pictures_are_tested_whatever_splits_are_called(
    photo: Make, document: Make, opened: Make, tmp_path: Path, folders: tuple[str, ...], splits: list[str], note: str
) -> None:
    for place, folder in enumerate(folders):
        photo(tmp_path / "parts" / folder / f"{place}.jpg")
        document(tmp_path / "parts" / folder / f"{place}.json", drawn(str(place)))
    found = opened(tmp_path / "parts")
    assert [each.split for each in found] == splits
    assert [line for line in found.warnings if "tested" in line] == ([f"parts: {note}"] if note else [])


def test_masks_and_labelled_folders_win_and_the_annotations_are_named(
    photo: Make, document: Make, opened: Make, tmp_path: Path
) -> None:
    for name in ("nut/train/good/a.jpg", "nut/test/good/b.jpg", "nut/test/bent/c.jpg"):
        photo(tmp_path / "mvtec" / name)
    document(tmp_path / "mvtec/nut/test/bent/c.json", drawn("c"))
    found = opened(tmp_path / "mvtec")
    assert found.layout == "mvtec"
    assert (
        "annotations in the format of LabelMe are not read here (c.json, ...); labelme reads them, by that name"
        in str(found.warnings)
    )
    photo(tmp_path / "own/good/a.jpg")
    photo(tmp_path / "own/bent/c.jpg")
    document(tmp_path / "own/bent/c.json", drawn("c"))
    assert detect_layout(tmp_path / "own") == "labelme"
    (tmp_path / "own/masks/bent").mkdir(parents=True)
    Image.fromarray(np.eye(16, dtype=np.uint8)[:12] * 255).save(tmp_path / "own/masks/bent/c.png")
    assert opened(tmp_path / "own").layout == "folder"


def test_reading_without_a_place_for_masks_draws_none(photo: Make, document: Make, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png"}
    shape = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]]}
    document(
        tmp_path / "a.json", {"images": [image], "annotations": [shape], "categories": [{"id": 1, "name": "dent"}]}
    )
    (sample,) = Coco().read(tmp_path, "parts")
    assert (sample.defect, sample.mask) == ("dent", None)
