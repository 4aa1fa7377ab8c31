"""LabelMe's files: each kind of shape, and the traps in them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackclip.errors import DataError
from stackclip.types import ANOMALOUS, GOOD, Sample

Make = Callable[..., Any]
Pixels = Callable[[Sample], NDArray[np.bool_]]


def patch(values: NDArray[np.bool_]) -> str:
    """A mask as LabelMe writes it: a PNG of one bit in base64."""
    file = io.BytesIO()
    Image.fromarray(values).convert("1").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shape(kind: str | None, *points: tuple[float, float], label: str = "dent", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": [list(point) for point in points], "shape_type": kind, "flags": {}, **more}


def about(*shapes: dict[str, Any], path: str = "a.png", **more: Any) -> dict[str, Any]:
    return {"shapes": list(shapes), "imagePath": path, "imageData": None, "imageHeight": 12, "imageWidth": 16, **more}


def expected(rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros((12, 16), dtype=np.bool_)
    mask[rows, columns] = True
    return mask


@pytest.fixture
def root(photo: Make, tmp_path: Path) -> Path:
    return photo(tmp_path / "plates/a.png").parent  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["polygon", None])
def test_a_polygon_and_what_has_no_kind(root: Path, document: Make, opened: Make, pixels: Pixels, kind: Any) -> None:
    document(root / "a.json", about(shape(kind, (2, 3), (5, 3), (5, 7), (2, 7))))
    (sample,) = opened(root)
    assert (sample.label, sample.defect) == (ANOMALOUS, "dent")
    np.testing.assert_array_equal(pixels(sample), expected(slice(3, 7), slice(2, 5)))


def test_a_circle_has_a_centre_and_a_place_on_its_rim(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    document(root / "a.json", about(shape("circle", (8, 6), (8 + 3, 6 - 4))))
    rows, columns = np.mgrid[0:12, 0:16] + 0.5
    np.testing.assert_array_equal(pixels(opened(root).samples[0]), (rows - 6) ** 2 + (columns - 8) ** 2 <= 25)


def test_a_mask_is_a_patch_at_its_first_corner(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    values = np.random.default_rng(1).random((4, 5)) < 0.5
    # The box is inclusive: five columns go from 9 to 13.
    document(root / "a.json", about(shape("mask", (9, 6), (13, 9), mask=patch(values))))
    mask = np.zeros((12, 16), dtype=np.bool_)
    mask[6:10, 9:14] = values
    np.testing.assert_array_equal(pixels(opened(root).samples[0]), mask)


def test_a_rectangle_is_a_box_with_its_corners_in_any_order(
    root: Path, document: Make, opened: Make, pixels: Pixels
) -> None:
    document(root / "a.json", about(shape("rectangle", (5, 7), (2, 3))))
    assert opened(root).samples[0].mask is None
    (sample,) = opened(root, "labelme[boxes=mask]")
    np.testing.assert_array_equal(pixels(sample), expected(slice(3, 7), slice(2, 5)))


@pytest.mark.parametrize("kind", ["line", "linestrip", "point", "points"])
def test_lines_and_points_make_a_defect_and_no_mask(root: Path, document: Make, opened: Make, kind: str) -> None:
    square = shape("polygon", (2, 3), (5, 3), (5, 7))
    document(root / "a.json", about(square, shape(kind, (1, 1), (9, 9), label="scratch")))
    found = opened(root)
    assert [(each.defect, each.mask) for each in found] == [("dent+scratch", None)]
    assert "1 picture has lines or points, which have no area (a.png): not localised" in str(found.warnings)


@pytest.mark.parametrize(
    "path", ["..\\photos\\b c.png", "C:\\data\\b c.png", "/home/me/b c.png", "./b c.png", "", "x.png"]
)
def test_the_picture_is_found_whatever_its_path_was(
    photo: Make, document: Make, opened: Make, tmp_path: Path, path: str
) -> None:
    root = tmp_path / "plates"
    photo(root / "b c.png")
    document(root / "b c.json", about(shape("polygon", (2, 3), (5, 3), (5, 7)), path=path))
    assert [(each.id, each.defect) for each in opened(root)] == [("b c.png", "dent")]


def test_a_flag_that_is_set_is_a_class_of_the_picture(root: Path, document: Make, opened: Make) -> None:
    document(root / "a.json", about(flags={"good": True, "dent": False}))
    assert opened(root).samples[0].defect == GOOD
    document(root / "a.json", about(flags={"good": False, "dent": True}))
    assert opened(root).samples[0].defect == "dent"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (shape("mask", (1, 1), (2, 2), mask="no base64"), "shape 1: a mask that is no PNG in base64"),
        (shape("mask", (1, 1), (2, 2)), "shape 1: no 'mask'"),
        (shape("circle", (1, 1)), "shape 1: "),
        (shape("star", (1, 1)), "shape 1: a star of 1 points"),
        (shape("polygon"), "shape 1: a polygon of 0 points"),
        (shape("polygon", (1, float("inf"))), "shape 1: inf is no place in a picture"),
        ({"points": [], "shape_type": "polygon"}, "shape 1: no 'label'; wanted label, points"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    root: Path, document: Make, opened: Make, wrong: dict[str, Any], words: str
) -> None:
    path = document(root / "a.json", about(wrong))
    with pytest.raises(DataError, match=words) as caught:
        opened(root)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
