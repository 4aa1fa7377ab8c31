"""Pictures of every kind come out as 8-bit RGB, or as one line that names the file."""

from __future__ import annotations

import os
import socket
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from stackclip.data import images
from stackclip.data.images import EXTENSIONS, PIXEL_LIMIT, picture_size, read_picture
from stackclip.errors import PictureError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def grey_of(picture: Image.Image) -> np.ndarray:
    """The one channel of a picture whose three channels must be equal."""
    values = np.asarray(picture)
    assert picture.mode == "RGB"
    assert (values == values[..., :1]).all()
    return values[..., 0]


def refusal(path: Path) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.path == path
    return caught.value.reason


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_extension_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"picture{extension.upper()}"
    Image.fromarray(np.full((6, 8, 3), 90, np.uint8)).save(path)
    picture = read_picture(path)
    assert (picture.mode, picture.size, picture_size(path)) == ("RGB", (8, 6), (6, 8))
    assert abs(int(np.asarray(picture).mean()) - 90) <= 2


@pytest.mark.parametrize("name", ["a b.png", "größe ångström 图片.png", "x" * 196 + ".png", "[odd]#%'name.png"])
def test_unusual_names_are_read(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / name)
    assert (grey_of(read_picture(tmp_path / name)) == GREY).all()


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_16_bit_grey_is_scaled_by_its_full_range(tmp_path: Path, extension: str) -> None:
    levels = np.array([[0, 128, 129, 257, 32768], [65535, 65407, 65406, 300, 1000]], dtype=np.uint16)
    path = tmp_path / f"deep{extension}"
    Image.fromarray(levels).save(path)
    expected = np.floor(levels / 257 + 0.5).astype(int)
    assert grey_of(read_picture(path)).tolist() == expected.tolist()
    assert expected.max() == 255
    assert expected[0, 3] == 1


def test_16_bit_levels_that_are_8_bit_levels_times_257_come_back_exactly(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(levels * 257).save(tmp_path / "deep.png")
    assert (grey_of(read_picture(tmp_path / "deep.png")) == levels).all()


def test_grey_in_32_bits_is_taken_as_16_bit_levels_and_refused_beyond(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535]], dtype=np.int32)).save(tmp_path / "fits.tif")
    assert grey_of(read_picture(tmp_path / "fits.tif")).tolist() == [[0, 255]]
    Image.fromarray(np.array([[-1, 70000]], dtype=np.int32)).save(tmp_path / "wide.tif")
    assert (
        refusal(tmp_path / "wide.tif")
        == "32-bit grey with values from -1 to 70000; wanted 0 to 65535, or --range MIN:MAX"
    )


def test_float_grey_goes_from_0_to_1_and_nan_is_refused(tmp_path: Path) -> None:
    def save(name: str, *values: float) -> Path:
        Image.fromarray(np.array([values], dtype=np.float32)).save(tmp_path / name)
        return tmp_path / name

    assert grey_of(read_picture(save("good.tif", 0, 0.5, 1))).tolist() == [[0, 128, 255]]
    assert "NaN" in refusal(save("nan.tif", 0, float("nan")))
    assert "infinity" in refusal(save("infinite.tif", 0, float("inf")))
    assert (
        refusal(save("wide.tif", 0, 200)) == "float grey with values from 0 to 200; wanted 0 to 1, or --range MIN:MAX"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp"])
def test_exif_rotation_is_applied_and_counts_for_the_size(tmp_path: Path, extension: str, orientation: int) -> None:
    path = tmp_path / f"turned{extension}"
    stored = Image.fromarray(np.kron(np.array([[250, 10, 10], [10, 130, 130]], np.uint8), np.ones((16, 16), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.convert("RGB").save(path, exif=exif, **({"lossless": True} if extension == ".webp" else {}))
    with Image.open(path) as opened:
        expected = ImageOps.exif_transpose(opened).convert("RGB")
    picture = read_picture(path)
    assert (np.asarray(picture) == np.asarray(expected)).all()
    assert picture_size(path) == picture.size[::-1] == ((32, 48) if orientation < 5 else (48, 32))


def test_a_picture_with_damaged_exif_is_read_as_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "exif.jpg"
    Image.fromarray(GREY).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40)
    assert picture_size(path) == (6, 8)
    assert read_picture(path).size == (8, 6)


def test_transparency_is_dropped_and_the_colours_below_it_are_kept(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 4), dtype=np.uint8)
    colours[0, :, 3] = 0
    Image.fromarray(colours).save(tmp_path / "rgba.png")
    assert (np.asarray(read_picture(tmp_path / "rgba.png")) == colours[..., :3]).all()
    Image.fromarray(colours[..., :2].copy()).save(tmp_path / "la.png")
    assert (grey_of(read_picture(tmp_path / "la.png")) == colours[..., 0]).all()


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 250, 10))])
def test_a_palette_with_transparency_gives_its_colours_without_a_warning(
    tmp_path: Path, transparency: int | bytes
) -> None:
    palette = Image.fromarray(GREY // 10).convert("P")
    palette.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    palette.save(tmp_path / "palette.png", transparency=transparency)
    picture = np.asarray(read_picture(tmp_path / "palette.png"))
    indices = np.asarray(palette)
    assert (picture == np.stack([indices, 255 - indices, np.full_like(indices, 7)], axis=2)).all()


def test_one_bit_and_cmyk_pictures_are_read(tmp_path: Path) -> None:
    Image.fromarray(GREY > 100).save(tmp_path / "bits.png")
    assert (grey_of(read_picture(tmp_path / "bits.png")) == np.where(GREY > 100, 255, 0)).all()
    Image.new("CMYK", (8, 6), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    assert read_picture(tmp_path / "print.tif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("name", ["moves.png", "moves.webp", "moves.gif", "pages.tif"])
def test_of_an_animation_the_first_frame_counts(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    red, green, blue = read_picture(tmp_path / name).getpixel((4, 3))
    assert red > 240
    assert green < 15
    assert blue < 15


def test_nothing_but_pixels_comes_along(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "text.jpg", comment="a comment", dpi=(300, 300))
    assert read_picture(tmp_path / "text.jpg").info == {}


def test_what_is_no_picture_file_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    assert refusal(tmp_path / "empty.png") == "empty file"
    assert refusal(tmp_path / "text.png").startswith("not a picture; wanted one of PNG, JPEG")
    assert refusal(tmp_path / "folder.png") == "a folder; wanted a picture file"
    assert refusal(tmp_path / "absent.png") == "no such file"
    assert "null" in refusal(tmp_path / "nul\0.png")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_pipes_devices_sockets_and_bad_links_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert refusal(tmp_path / "pipe.png") == "a named pipe; wanted a picture file"
    assert refusal(Path("/dev/zero")) == "a device; wanted a picture file"
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert refusal(tmp_path / "loop.png") == "a link that leads to itself"
    (tmp_path / "broken.png").symlink_to(tmp_path / "absent.png")
    assert refusal(tmp_path / "broken.png") == "a broken link"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(tmp_path / "s.png"))
        except OSError:
            return  # the folder's path is too long for a socket
        assert refusal(tmp_path / "s.png") == "a socket; wanted a picture file"


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    Image.fromarray(GREY).save(path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # an administrator may read everything

        def refuse(self: Path, *arguments: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert refusal(path) == "no permission to read it"


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.bmp", "cut.tif", "cut.webp"])
def test_a_truncated_picture_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path)


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_small_file_that_declares_too_many_pixels_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_declares(side, side))
    assert side**2 > PIXEL_LIMIT
    assert f"the limit is {PIXEL_LIMIT}: scale it down" in refusal(path)
    with pytest.raises(PictureError, match="limit"):
        picture_size(path)


def test_the_size_is_told_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_that_declares(11_000, 9_000))  # above the number of pixels at which Pillow warns
    assert picture_size(path) == (9_000, 11_000)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"]))
def test_damaged_bytes_give_a_picture_or_one_line(tmp_path: Path, data: st.DataObject, kind: str) -> None:
    path = tmp_path / "damaged.png"
    noise = np.random.default_rng(1).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(path, format=kind, **({} if kind in ("BMP", "GIF") else {"exif": exif}))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        picture = read_picture(path)
    except PictureError:
        refusal(path)
    else:
        assert picture_size(path) == picture.size[::-1]


def test_reading_in_threads_leaves_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_that_declares(11_000, 9_000))
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [picture_size(path) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    assert images._readers == 0


def test_a_picture_of_the_real_data_sets_is_what_pillow_reads(shared: Path) -> None:
    path = shared / "data/ksdd-mini/kos02/Part0.jpg"
    with Image.open(path) as opened:
        assert (np.asarray(opened.convert("RGB")) == np.asarray(read_picture(path))).all()
