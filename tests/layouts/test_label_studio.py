"""Label Studio's JSON: per cents, brushes, choices, and the names of uploaded pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.errors import DataError
from stackclip.types import GOOD, UNLABELLED, Sample

Make = Callable[..., Any]
Pixels = Callable[[Sample], NDArray[np.bool_]]
SQUARE = [[12.5, 25], [31.25, 25], [31.25, 700 / 12], [12.5, 700 / 12]]  # (2, 3) to (5, 7) of 16 x 12


def result(kind: str, value: dict[str, Any], *labels: str) -> dict[str, Any]:
    sizes = {"original_width": 16, "original_height": 12, "image_rotation": 0}
    return {"type": kind, "value": {**value, kind: list(labels)}, **sizes}


def task(*results: dict[str, Any], image: str = "/data/upload/1/0a1b2c3d-a.png", **more: Any) -> dict[str, Any]:
    annotations = [{"result": list(results), "was_cancelled": False}]
    return {"id": 1, "data": {"image": image}, "annotations": annotations, "predictions": [], **more}


def brush(mask: NDArray[np.bool_]) -> list[int]:
    """A stream of bits, all values one by one: four equal values a pixel, in pieces of up to eight."""
    values = np.repeat(mask.ravel().astype(int) * 255, 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + f"{2:04b}" * 4
    for start in range(0, len(values), 8):
        piece = values[start : start + 8]
        bits += f"000{len(piece) - 1:03b}" + "".join(f"{value:08b}" for value in piece)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


@pytest.fixture
def root(photo: Make, tmp_path: Path) -> Path:
    return photo(tmp_path / "plates/a.png").parent  # type: ignore[no-any-return]


def expected(rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros((12, 16), dtype=np.bool_)
    mask[rows, columns] = True
    return mask


def test_polygons_are_in_per_cent(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    document(root / "export.json", [task(result("polygonlabels", {"points": SQUARE}, "dent", "deep"))])
    found = opened(root)
    assert (found.layout, found.samples[0].defect) == ("label-studio", "deep+dent")
    np.testing.assert_array_equal(pixels(found.samples[0]), expected(slice(3, 7), slice(2, 5)))


def test_a_brush_is_the_opacity_of_a_stream_of_bits(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    mask = np.random.default_rng(4).random((12, 16)) < 0.4
    document(root / "export.json", [task(result("brushlabels", {"format": "rle", "rle": brush(mask)}, "dent"))])
    np.testing.assert_array_equal(pixels(opened(root).samples[0]), mask)


def test_ellipses_and_rectangles(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    ellipse = result("ellipselabels", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0}, "dent")
    document(root / "export.json", [task(ellipse)])
    rows, columns = np.mgrid[0:12, 0:16] + 0.5
    np.testing.assert_array_equal(
        pixels(opened(root).samples[0]), ((columns - 8) / 4) ** 2 + ((rows - 6) / 3) ** 2 <= 1
    )
    turned = {
        "x": 50,
        "y": 25,
        "width": 25,
        "height": 100 / 6,
        "rotation": 90,
    }  # 4 x 2 pixels from (8, 3) down and left
    document(root / "export.json", [task(result("rectanglelabels", turned, "dent"))])
    assert opened(root).samples[0].mask is None
    (sample,) = opened(root, "label-studio[boxes=mask]")
    np.testing.assert_array_equal(pixels(sample), expected(slice(3, 7), slice(6, 8)))


def test_choices_cancelled_work_and_several_annotators(
    root: Path, photo: Make, document: Make, opened: Make, pixels: Pixels
) -> None:
    photo(root / "b.png")
    photo(root / "c.png")
    square = result("polygonlabels", {"points": SQUARE}, "dent")
    cancelled = [{"result": [square], "was_cancelled": True}]
    twice = [
        {"result": [square]},
        {"result": [result("polygonlabels", {"points": [[0, 0], [50, 0], [0, 50]]}, "rust")]},
    ]
    tasks = [
        task(result("choices", {}, "OK")),
        task(image="b.png", annotations=cancelled, predictions=[{"result": [square]}]),
        task(image="c.png", annotations=twice),
    ]
    document(root / "export.json", tasks)
    found = opened(root)
    assert [each.defect for each in found] == [GOOD, UNLABELLED, "dent+rust"]
    mask = pixels(found.samples[2])
    assert mask[3:7, 2:5].all()
    assert mask[0, 0]


@pytest.mark.parametrize(
    "image",
    [
        "/data/local-files/?d=parts%2Fb c.png",
        "/data/local-files/?d=parts/b%20c.png",
        "https://example.org/x/b%20c.png?token=1",
        "s3://bucket/b c.png",
        "/data/upload/3/12345678-b c.png",
        "C:\\parts\\b c.png",
    ],
)
def test_the_picture_is_found_by_its_address(
    photo: Make, document: Make, opened: Make, tmp_path: Path, image: str
) -> None:
    photo(tmp_path / "plates/b c.png")
    document(tmp_path / "plates/export.json", [task(result("polygonlabels", {"points": SQUARE}, "dent"), image=image)])
    assert [(each.id, each.defect) for each in opened(tmp_path / "plates")] == [("b c.png", "dent")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"image": "a.png", "label": []}], "no 'data'; wanted"),
        ([{"data": {"text": "words"}, "annotations": []}], "a task whose data name no picture; wanted"),
        ([task(result("polygonlabels", {}, "dent"))], "0a1b2c3d-a.png: no 'points'"),
        ([task(result("brushlabels", {"format": "rle", "rle": [0] * 20}, "dent"))], "a brush of 0 values for 12 x 16"),
        ([task(result("brushlabels", {"format": "rle", "rle": [300]}, "dent"))], "0a1b2c3d-a.png: "),
        ([task(result("brushlabels", {"format": "png"}, "dent"))], "a brush in the format 'png'"),
        ({"a": 1}, "wanted"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    root: Path, document: Make, opened: Make, content: Any, words: str
) -> None:
    document(root / "export.json", content)
    with pytest.raises(DataError, match=rf"export\.json: .*{words}"):
        opened(root, "label-studio[file=export.json]")
