"""Masks of every kind say the same, at the side of the tower, and refuse what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from stackclip.data.masks import anomalous_pixels, read_mask
from stackclip.errors import PictureError
from stackclip.sizes import Size
from stackclip.types import ANOMALOUS, NORMAL, Sample

RULES: tuple[Literal["bilinear", "nearest"], ...] = ("bilinear", "nearest")
BLOB = np.zeros((20, 30), dtype=bool)
BLOB[4:13, 7:21] = True
BLOB[16, 2] = True


def sample_of(folder: Path, mask: Path | None, *, size: tuple[int, int] = BLOB.shape, label: int = ANOMALOUS) -> Sample:
    image = folder / "picture.png"
    Image.new("RGB", size[::-1]).save(image)
    return Sample("picture.png", "own", "plate", "test", image, mask, label, "scratch")


def saved(picture: Image.Image, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    picture.save(path)
    return path


def palette_of(indices: np.ndarray) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8)).convert("P")
    picture.putdata(indices.astype(np.uint8).ravel().tolist())
    picture.putpalette([200, 200, 200, 0, 0, 0, 9, 9, 9])  # index 0 is light: the index counts, not the colour
    return picture


def with_alpha(mask: np.ndarray) -> Image.Image:
    values = np.zeros((*mask.shape, 4), dtype=np.uint8)
    values[..., 0], values[..., 3] = mask * 255, 255
    values[0, 0] = (255, 255, 255, 0)  # fully clear white is nothing
    return Image.fromarray(values)


FORMS = {
    "0/255": lambda mask: Image.fromarray(mask.astype(np.uint8) * 255),
    "0/1": lambda mask: Image.fromarray(mask.astype(np.uint8)),
    "defect number 7": lambda mask: Image.fromarray(mask.astype(np.uint8) * 7),
    "values 0, 1 and 2": lambda mask: Image.fromarray(np.where(np.arange(30) % 2, 1, 2).astype(np.uint8) * mask),
    "one bit": Image.fromarray,
    "palette": lambda mask: palette_of(mask * 2),
    "RGB": lambda mask: Image.fromarray(np.stack([mask * 0, mask * 0, mask * 1], axis=2).astype(np.uint8)),
    "RGBA": with_alpha,
    "16 bit": lambda mask: Image.fromarray(mask.astype(np.uint16)),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_mask_says_the_same(tmp_path: Path, form: str, rule: Literal["bilinear", "nearest"]) -> None:
    path = saved(FORMS[form](BLOB), tmp_path / "mask.png")
    assert (anomalous_pixels(path) == BLOB).all()
    plain = saved(FORMS["0/255"](BLOB), tmp_path / "plain.png")
    found = read_mask(sample_of(tmp_path, path), 14, rule=rule)
    assert found.dtype == bool
    assert found.shape == (14, 14)
    assert (found == read_mask(sample_of(tmp_path, plain), 14, rule=rule)).all()


def test_float_masks_are_read_and_nan_is_refused(tmp_path: Path) -> None:
    assert (anomalous_pixels(saved(Image.fromarray(BLOB.astype(np.float32)), tmp_path / "float.tif")) == BLOB).all()
    with pytest.raises(PictureError, match=r"nan\.tif: float mask with NaN"):
        anomalous_pixels(saved(Image.fromarray(np.full((2, 2), np.nan, np.float32)), tmp_path / "nan.tif"))


def triangle_weights(length: int, side: int) -> np.ndarray:
    """(side, length): the bilinear filter, a triangle as wide as the shrinking asks, written out."""
    scale = length / side
    support = max(scale, 1.0)
    weights = np.zeros((side, length))
    for target in range(side):
        centre = (target + 0.5) * scale
        for source in range(length):
            weights[target, source] = max(0.0, 1 - abs(source + 0.5 - centre) / support)
    return weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24))), side=st.integers(1, 30))
def test_bilinear_is_an_antialiased_resize_and_more_than_one_half(tmp_path: Path, mask: np.ndarray, side: int) -> None:
    path = saved(FORMS["0/255"](mask), tmp_path / "mask.png")
    found = read_mask(sample_of(tmp_path, path, size=mask.shape), side)
    share = triangle_weights(mask.shape[0], side) @ mask @ triangle_weights(mask.shape[1], side).T
    certain = abs(share - 0.5) > 2 / 255  # Pillow rounds to whole levels between its two passes
    assert (found == (share > 0.5))[certain].all()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24))), side=st.integers(1, 30))
def test_nearest_takes_the_pixel_under_each_centre(tmp_path: Path, mask: np.ndarray, side: int) -> None:
    path = saved(FORMS["0/255"](mask), tmp_path / "mask.png")
    found = read_mask(sample_of(tmp_path, path, size=mask.shape), side, rule="nearest")
    # Twice the side times each centre, in whole numbers; a centre on the border of two pixels may take either.
    rows, columns = ((2 * np.arange(side) + 1) * length for length in mask.shape)
    certain = np.ix_(rows % (2 * side) != 0, columns % (2 * side) != 0)
    assert (found == mask[np.ix_(rows // (2 * side), columns // (2 * side))])[certain].all()


def test_at_its_own_side_a_mask_is_not_changed(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((16, 16)) > 0.7
    path = saved(FORMS["one bit"](mask), tmp_path / "mask.png")
    for rule in RULES:
        assert (read_mask(sample_of(tmp_path, path, size=(16, 16)), 16, rule=rule) == mask).all()


def test_a_normal_sample_and_one_without_localisation_have_an_empty_mask(tmp_path: Path) -> None:
    path = saved(FORMS["0/255"](BLOB), tmp_path / "mask.png")
    assert not read_mask(sample_of(tmp_path, path, label=NORMAL), 9).any()
    assert not read_mask(sample_of(tmp_path, None), 9).any()
    assert read_mask(sample_of(tmp_path, None), 9).shape == (9, 9)


def test_an_empty_mask_of_an_anomalous_sample_is_allowed(tmp_path: Path) -> None:
    path = saved(FORMS["0/255"](BLOB & False), tmp_path / "mask.png")
    assert not read_mask(sample_of(tmp_path, path), 9).any()


def test_a_folder_of_masks_is_their_union(tmp_path: Path) -> None:
    left, right = BLOB.copy(), BLOB.copy()
    left[:, 12:], right[:, :12] = False, False
    saved(FORMS["0/255"](left), tmp_path / "masks/000.png")
    saved(FORMS["0/1"](right), tmp_path / "masks/001.png")
    (tmp_path / "masks/.hidden.png").write_bytes(b"litter")
    whole = saved(FORMS["one bit"](BLOB), tmp_path / "whole.png")
    found = read_mask(sample_of(tmp_path, tmp_path / "masks"), 15)
    assert (found == read_mask(sample_of(tmp_path, whole), 15)).all()


def test_a_missing_mask_names_the_picture_and_the_path_expected(tmp_path: Path) -> None:
    sample = sample_of(tmp_path, tmp_path / "picture_mask.png")
    with pytest.raises(PictureError) as caught:
        read_mask(sample, 9)
    assert str(caught.value) == f"{sample.image}: missing mask: expected {tmp_path / 'picture_mask.png'}"
    (tmp_path / "none").mkdir()
    with pytest.raises(PictureError, match="missing mask: no mask file in"):
        read_mask(sample_of(tmp_path, tmp_path / "none"), 9)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = saved(FORMS["0/255"](BLOB), tmp_path / "mask.png")
    with pytest.raises(PictureError) as caught:
        read_mask(sample_of(tmp_path, path, size=(30, 20)), 9)
    assert str(caught.value) == f"{path}: mask of 30 x 20 pixels for a picture of 20 x 30 (picture.png)"


def test_the_size_of_a_picture_that_exif_turns_is_the_turned_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 30)).save(tmp_path / "turned.jpg", exif=exif)  # stored 20 wide, seen 30 wide
    mask = saved(FORMS["0/255"](BLOB), tmp_path / "mask.png")
    sample = Sample("turned.jpg", "own", "plate", "test", tmp_path / "turned.jpg", mask, ANOMALOUS, "scratch")
    assert read_mask(sample, 10).any()


def test_an_unreadable_mask_or_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_text("not a picture")
    with pytest.raises(PictureError, match=r"mask\.png: not a picture"):
        read_mask(sample_of(tmp_path, tmp_path / "mask.png"), 9)
    sample = sample_of(tmp_path, saved(FORMS["0/255"](BLOB), tmp_path / "mask.png"))
    sample.image.write_bytes(b"")
    with pytest.raises(PictureError, match=r"picture\.png: empty file"):
        read_mask(sample, 9)


@pytest.mark.parametrize("rule", ["bilinear", "nearest"])
def test_a_mask_is_scaled_to_a_height_and_a_width(tmp_path: Path, rule: Literal["bilinear", "nearest"]) -> None:
    mask = np.zeros((20, 60), np.uint8)
    mask[5:10, 30:45] = 255
    path = tmp_path / "mask.png"
    Image.fromarray(mask).save(path)
    found = read_mask(sample_of(tmp_path, path, size=mask.shape), Size(4, 12), rule=rule)
    wanted = np.zeros((4, 12), bool)
    wanted[1, 6:9] = True
    np.testing.assert_array_equal(found, wanted)
