"""What a mask's soft edges are, and what the values of a photograph on a black ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from stackclip.data.look import look_of
from stackclip.data.paint import anomalous_pixels
from stackclip.data.photograph import is_photograph

SIDE = 192


def soft(shape: str, sigma: float) -> Image.Image:
    """A mask of a disc, a hairline or both, as an editor softens it."""
    canvas = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(canvas)
    if shape != "line":
        pen.ellipse((20, 20, 60, 70), fill=255)
    if shape != "disc":
        pen.line((10, 100, 110, 90), fill=255, width=3)
    return canvas.filter(ImageFilter.GaussianBlur(sigma))


def on_black(side: int, *, noise: float, hue: tuple[float, ...] = (1,), slope: float = 0.0) -> Image.Image:
    """An object of uneven brightness on a ground that is exactly black, as a cut-out has it."""
    rng = np.random.default_rng(side)
    grey = 130 + slope * np.arange(SIDE)[None, :] + rng.normal(0, noise, (SIDE, SIDE))
    colours = np.clip(grey[..., None] * np.array(hue), 1, 255).astype(np.uint8)
    inside = np.zeros((SIDE, SIDE, 1), np.uint8)
    inside[30 : 30 + side, 40 : 40 + side] = 1
    return Image.fromarray((colours * inside).squeeze())


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3.0])
@pytest.mark.parametrize("shape", ["disc", "line", "both"])
def test_soft_edges_are_a_masks(tmp_path: Path, shape: str, sigma: float) -> None:
    mask = soft(shape, sigma)
    assert not is_photograph(np.asarray(mask))
    mask.save(tmp_path / "m.png")
    assert (anomalous_pixels(tmp_path / "m.png") == (np.asarray(mask) > 0)).all()


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5])
@pytest.mark.parametrize(("noise", "slope"), [(20.0, 0.0), (12.0, 0.9), (40.0, -0.3)])
def test_an_object_on_black_is_none_however_small(
    tmp_path: Path, extension: str, share: float, noise: float, slope: float
) -> None:
    for name, hue in (("grey", (1.0,)), ("colour", (1.0, 0.7, 0.4))):
        path = tmp_path / f"{name}.{extension}"
        on_black(round(SIDE * share**0.5), noise=noise, slope=slope, hue=hue).save(path)
        assert look_of(path) == "photograph", path.name


@pytest.mark.parametrize("noise", [20.0, 40.0])
@pytest.mark.parametrize("mode", ["P", "RGBA", "LA"])
def test_nor_is_a_cut_out_or_one_with_a_palette(tmp_path: Path, mode: str, noise: float) -> None:
    picture = on_black(60, noise=noise, hue=(1.0, 0.7, 0.4))
    if mode != "P":
        picture = picture.convert(mode)
        picture.putalpha(picture.convert("L").point(lambda value: 255 * (value > 0)))
    path = tmp_path / "m.png"
    (picture.quantize(256) if mode == "P" else picture).save(path)
    assert look_of(path) == "photograph"


def test_many_hues_are_a_photographs_even_where_their_brightness_is_flat() -> None:
    colours = np.zeros((SIDE, SIDE, 3), np.uint8)
    colours[10:60, 10:60] = np.random.default_rng(0).integers(0, 200, (50, 50, 3))
    colours[10:60, 10:60, 0] = 255
    assert not is_photograph(colours.max(axis=2))
    assert is_photograph(colours.max(axis=2), colours)


@pytest.mark.parametrize("values", [2, 5, 32])
def test_numbers_of_defects_are_a_masks(values: int) -> None:
    numbers = np.arange(SIDE) * values // SIDE
    assert not is_photograph((numbers[:, None] * (np.arange(SIDE) > 9)).astype(np.uint8))


def test_one_value_everywhere_is_a_mask_of_all_or_nothing() -> None:
    assert not is_photograph(np.zeros((4, 4), np.uint8))
    assert not is_photograph(np.full((4, 4), 7, np.uint8))
