"""A mask file means one thing or is refused with what was wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.data.paint import anomalous_pixels
from stackclip.errors import PictureError

BOX = np.zeros((64, 64), bool)
BOX[9:30, 13:41] = True
WHITE = BOX.astype(np.uint8) * 255


def clear(colour: int, *, alpha: np.ndarray = WHITE) -> np.ndarray:
    return np.dstack([np.full((64, 64, 3), colour, np.uint8), alpha])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("m.jpg", {"quality": 50}),
        ("m.jpg", {"quality": 95}),
        ("m.webp", {"quality": 60}),
        ("m.tif", {"compression": "jpeg"}),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_lossy_mask_is_what_is_above_half(tmp_path: Path, name: str, options: dict[str, object], mode: str) -> None:
    Image.fromarray(WHITE).convert(mode).save(tmp_path / name, **options)
    assert (anomalous_pixels(tmp_path / name) != BOX).sum() <= 0.02 * BOX.sum()


def test_a_lossy_mask_of_nothing_is_empty(tmp_path: Path) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "m.jpg")
    assert not anomalous_pixels(tmp_path / "m.jpg").any()


@pytest.mark.parametrize(
    "pixels",
    [clear(0), clear(255), clear(7), np.dstack([WHITE, WHITE * 0, WHITE * 0, WHITE]), np.dstack([WHITE * 0, WHITE])],
    ids=["black paint", "white everywhere", "dark paint", "red paint", "grey and alpha"],
)
def test_on_a_clear_canvas_the_paint_is_the_mask(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert (anomalous_pixels(tmp_path / "m.png") == BOX).all()


def test_an_opaque_canvas_with_alpha_is_read_by_its_colours(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([WHITE, WHITE, WHITE, np.full((64, 64), 255, np.uint8)])).save(tmp_path / "m.png")
    assert (anomalous_pixels(tmp_path / "m.png") == BOX).all()


REFUSED = {
    "a mask of defect numbers through JPEG": (
        "m.jpg",
        lambda: WHITE // 2 + np.roll(WHITE, 25, 0),
        "defect numbers",
    ),
    "0 and 1 through JPEG": ("m.jpg", lambda: BOX.astype(np.uint8) * 9, "lossy mask with values up to"),
    "two levels and no ground": ("m.png", lambda: BOX.astype(np.uint8) + 1, "without a ground"),
    "a photograph": (
        "m.png",
        lambda: np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8),
        "continuous values",
    ),
    "values below 0": ("m.tif", lambda: BOX.astype(np.int32) - 1, "values down to -1"),
    "black on most of a clear canvas": ("m.png", lambda: clear(0, alpha=255 - WHITE), "paint or ground"),
    "half clear everywhere": ("m.png", lambda: clear(255, alpha=WHITE // 2 + 100), "without a ground"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_leaves_it_open_is_refused(tmp_path: Path, name: str) -> None:
    file, make, words = REFUSED[name]
    Image.fromarray(make()).save(tmp_path / file)
    with pytest.raises(PictureError, match=words) as caught:
        anomalous_pixels(tmp_path / file)
    assert str(caught.value).startswith(str(tmp_path / file))


def test_pages_and_a_palette_painted_on_black_are_refused(tmp_path: Path) -> None:
    page = Image.fromarray(WHITE)
    page.save(tmp_path / "m.tif", save_all=True, append_images=[page])
    with pytest.raises(PictureError, match="mask of 2 pages; wanted one"):
        anomalous_pixels(tmp_path / "m.tif")
    indexed = Image.fromarray(BOX.astype(np.uint8)).convert("P")
    indexed.putdata((~BOX).astype(np.uint8).ravel().tolist())
    indexed.putpalette([255, 255, 255, 0, 0, 0])
    indexed.save(tmp_path / "m.png")
    with pytest.raises(PictureError, match="index 0"):
        anomalous_pixels(tmp_path / "m.png")
