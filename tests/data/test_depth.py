"""A picture of more than 8 bits has the range that its file says, or the one that is named."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from stackclip.data.darkness import unused_range
from stackclip.data.images import read_picture
from stackclip.errors import PictureError, UsageError
from stackclip.types import NORMAL, Sample

RAMP = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)


def tiff(path: Path, values: np.ndarray, tags: dict[int, float]) -> Path:
    facts = ImageFileDirectory_v2()
    for tag, value in tags.items():
        facts[tag] = value
    Image.fromarray(values).save(path, tiffinfo=facts)
    return path


def png(path: Path, values: np.ndarray, significant: int) -> Path:
    """A 16-bit PNG with the chunk sBIT behind its header."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    plain, body = buffer.getvalue(), b"sBIT" + bytes([significant])
    chunk = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(plain[:33] + chunk + plain[33:])
    return path


def grey(path: Path, picture_range: str = "auto") -> np.ndarray:
    return np.asarray(read_picture(path, picture_range))[..., 0]


@pytest.mark.parametrize("tag", [281, 341])
def test_a_tiff_that_says_its_maximum_is_white_there(tmp_path: Path, tag: int) -> None:
    found = grey(tiff(tmp_path / "a.tif", RAMP, {tag: 4095}))
    assert (found == np.floor(RAMP / 4095 * 255 + 0.5)).all()


def test_levels_beyond_the_files_own_tags_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="levels from 0 to 4095, and its own tags say 0 to 1000"):
        read_picture(tiff(tmp_path / "a.tif", RAMP, {281: 1000}))


def test_a_png_whose_low_bits_are_in_use_was_not_scaled_and_one_that_was_is_read_by_its_full_range(
    tmp_path: Path,
) -> None:
    assert grey(png(tmp_path / "raw.png", RAMP, 12)).max() == 255
    scaled = (RAMP << 4) | (RAMP >> 8)
    assert (grey(png(tmp_path / "scaled.png", scaled, 12)) == np.floor(scaled / 257 + 0.5)).all()
    dark = (RAMP // 32) << 4  # black to an 32nd, written as the specification asks
    assert grey(png(tmp_path / "dark.png", dark, 12)).max() == round(int(dark.max()) / 257)


def test_a_named_range_decides_and_cuts_off_what_lies_beyond(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    assert grey(tmp_path / "a.png").max() == 16
    assert (grey(tmp_path / "a.png", "0:4095") == np.floor(RAMP / 4095 * 255 + 0.5)).all()
    narrow = grey(tmp_path / "a.png", "1000:2000")
    assert (narrow[RAMP <= 1000] == 0).all()
    assert (narrow[RAMP >= 2000] == 255).all()
    Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(tmp_path / "plain.png")
    assert grey(tmp_path / "plain.png", "0:4095").max() == 90


@pytest.mark.parametrize("text", ["", "a:b", "5:5", "9:1", "0:inf", "0:1:2", "full"])
def test_what_is_no_range_is_refused(tmp_path: Path, text: str) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="range"):
        read_picture(tmp_path / "a.png", text)


def test_where_nothing_says_it_and_little_is_used_one_line_tells(tmp_path: Path) -> None:
    def line(*paths: Path) -> str:
        return unused_range([Sample(path.name, "d", "c", "test", path, None, NORMAL, "good") for path in paths])

    Image.fromarray(RAMP).save(tmp_path / "a.png")
    Image.fromarray(RAMP * 16).save(tmp_path / "whole.png")
    stated = tiff(tmp_path / "stated.tif", RAMP, {281: 4095})
    assert "levels up to 4095 of 65535" in line(tmp_path / "a.png", stated)
    assert "--range 0:4095" in line(tmp_path / "a.png")
    assert line(tmp_path / "a.png", tmp_path / "whole.png") == ""
    assert line(stated, tmp_path / "absent.png") == ""


def test_long_profiles_and_texts_of_a_png_are_no_part_of_its_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    profile = np.random.default_rng(1).bytes(1_500_000)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    Image.fromarray(pixels).save(tmp_path / "zeros.png", icc_profile=bytes(3_000_000))
    for name in ("a.png", "zeros.png"):
        assert (np.asarray(read_picture(tmp_path / name)) == pixels).all()
