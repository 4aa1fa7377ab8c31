"""Reads a picture file as 8-bit RGB, whatever its kind, or says why it cannot be used."""

from __future__ import annotations

import errno
import io
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from stackclip.data.depth import SIXTEEN_BIT, bits_of, levels_of, stated_by_tiff, white_is_zero
from stackclip.errors import PictureError
from stackclip.ops.files import kind_of_file
from stackclip.ops.levels import eight_bit, parse_range
from stackclip.ops.words import one_line

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "PIXEL_LIMIT",
    "PictureFrame",
    "largest_size",
    "open_picture",
    "picture_frame",
    "picture_size",
    "png_of",
    "read_picture",
    "turned",
]

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")  # no others: some of Pillow's readers start programs
PIXEL_LIMIT = 2**27  # 134 million: 0.4 GB once decoded; a file of a few kB can declare far more

_PNG = b"\x89PNG\r\n\x1a\n"
_WORDS = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")
_SHORT = 1000
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_picture(path: Path, picture_range: str = "auto") -> Image.Image:
    """The picture at `path` as 8-bit RGB, upright.

    EXIF rotation is applied; of an animation the first frame counts. Transparency is dropped and the colours below it
    are kept, as `convert("RGB")` does in the released code of every method here, so that numbers compare. 16-bit grey
    is scaled by the range that its file states, else by its full range (65535 becomes 255), never stretched by its
    content; float grey goes from 0 to 1. `picture_range` names other levels of black and white, `MIN:MAX`, for grey of
    more than 8 bits; levels beyond are cut off.
    Raises PictureError, naming the file and the reason, for whatever cannot be read so.
    """
    named = parse_range(picture_range)
    with open_picture(path) as picture:
        upright = turned(picture)
        upright.info.pop("transparency", None)
        if upright.mode.startswith("I") or upright.mode == "F":
            upright = Image.fromarray(_grey(path, picture, np.asarray(upright), named))
        else:
            _check_colour(path, picture, named)
        colours = upright.convert("RGB")
        colours.info.clear()
        return colours


def picture_size(path: Path) -> tuple[int, int]:
    """The (height, width) that `read_picture` would give, without decoding; raises PictureError."""
    with open_picture(path) as picture:
        width, height = picture.size
        return (width, height) if _orientation(picture) > 4 else (height, width)


def largest_size(paths: Iterable[Path]) -> tuple[int, int]:
    """The largest height and the largest width of pictures, without decoding; (1, 1) where none can be read."""
    height = width = 1
    for path in paths:
        with suppress(PictureError):  # it is told when it is encoded
            size = picture_size(path)
            height, width = max(height, size[0]), max(width, size[1])
    return height, width


class PictureFrame(NamedTuple):
    """How a picture lies: (height, width) `upright`, as it is read, and `stored` in its file, and the turn between."""

    upright: tuple[int, int]
    stored: tuple[int, int]
    turn: Image.Transpose | None


def picture_frame(path: Path) -> PictureFrame:
    """How the picture at `path` lies, without decoding; raises PictureError."""
    with open_picture(path) as picture:
        width, height = picture.size
        orientation = _orientation(picture)
        upright = (width, height) if orientation > 4 else (height, width)
        return PictureFrame(upright, (height, width), _TURN.get(orientation))


def png_of(picture: Image.Image, compress_level: int = -1) -> bytes:
    """The bytes of a picture as PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=compress_level)
    return file.getvalue()


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """The undecoded Pillow picture at `path`; what goes wrong with it inside the block becomes a PictureError."""
    _check_regular_file(path)
    try:
        with _quiet_pillow(), path.open("rb") as file, Image.open(_without_words(file), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > PIXEL_LIMIT:
                raise PictureError(path, f"{width} x {height} pixels; the limit is {PIXEL_LIMIT}: scale it down")
            yield picture
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(path, f"not a picture; wanted one of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise PictureError(path, f"too many pixels; the limit is {PIXEL_LIMIT}: scale it down") from None
    except PermissionError:
        raise PictureError(path, "no permission to read it") from None
    except Exception as error:  # a decoder on damaged bytes may raise anything: struct.error, KeyError, SyntaxError ...
        raise PictureError(path, f"cannot be decoded ({_one_line(error)})") from error


def turned(picture: Image.Image) -> Image.Image:
    """Decode a picture and turn it upright."""
    # The orientation is taken before decoding, as `picture_size` takes it, so that the two always agree.
    turn = _TURN.get(_orientation(picture))
    picture.load()
    return picture if turn is None else picture.transpose(turn)


def _without_words(file: BinaryIO) -> BinaryIO:
    """The file, or a copy of a PNG without its long colour profile and texts, of which Pillow refuses more than 1 MB.

    They are compressed by 1032 at the most, so that 1000 bytes hold less.
    """
    if file.read(8) == _PNG:
        start, dropped = 8, []
        while len(head := file.read(8)) == 8:
            end = start + 12 + int.from_bytes(head[:4], "big")
            if head[4:] in _WORDS and end - start > _SHORT:
                dropped.append((start, end))
            start = file.seek(end)
        if dropped:
            file.seek(0)
            whole = file.read()
            edges = [0, *(edge for span in dropped for edge in span), len(whole)]
            return io.BytesIO(b"".join(whole[first:last] for first, last in zip(edges[::2], edges[1::2], strict=True)))
    file.seek(0)
    return file


def _check_regular_file(path: Path) -> None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise PictureError(path, "a broken link" if path.is_symlink() else "no such file") from None
    except PermissionError:
        raise PictureError(path, "no permission to read it") from None
    except (OSError, ValueError) as error:
        loop = isinstance(error, OSError) and error.errno == errno.ELOOP
        raise PictureError(path, "a link that leads to itself" if loop else _one_line(error)) from None
    if kind := kind_of_file(facts.st_mode):
        raise PictureError(path, f"{kind}; wanted a picture file")
    if facts.st_size == 0:
        raise PictureError(path, "empty file")


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none."""
    if picture.format == "TIFF":  # Pillow turns these itself
        return 1
    if picture.format == "PNG" and "exif" not in picture.info:  # getexif() would decode the picture to look further
        return 1
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF around a good picture: every other reader shows it as it lies, and so do we
        return 1
    return orientation if orientation in _TURN else 1


def _grey(
    path: Path, picture: Image.Image, values: NDArray[np.generic], named: tuple[float, float] | None
) -> NDArray[np.uint8]:
    """Grey levels (H, W) of any depth as 8 bits, by the levels named, those that the file states, or the usual ones."""
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        raise PictureError(path, "float grey with NaN or infinity; wanted values from 0 to 1")
    stated = levels_of(picture, path, values) if named is None else None
    usual = (0, 1) if picture.mode == "F" else (0, SIXTEEN_BIT)
    low, high = named or stated or usual
    least, most = values.min(), values.max()
    if named is None and (least < low or most > high):
        kind = "float" if picture.mode == "F" else "32-bit"
        raise PictureError(
            path, f"{kind} grey with values from {least:g} to {most:g}; wanted {low} to {high}, or --range MIN:MAX"
        )
    scaled = eight_bit(values, low, high)  # type: ignore[arg-type]  # modes I and F are numbers
    return np.asarray(255 - scaled) if white_is_zero(picture) else scaled


def _check_colour(path: Path, picture: Image.Image, named: tuple[float, float] | None) -> None:
    """Raises PictureError for 16-bit colour of another range than the full one: Pillow reads its high bytes alone."""
    if named is None and picture.format != "TIFF":
        return
    whole = (0, SIXTEEN_BIT)
    if bits_of(picture, path) > 8 and (named or stated_by_tiff(picture) or whole) != whole:
        raise PictureError(path, "16-bit colour of another range than 0 to 65535; wanted 8 bits a channel, or grey")


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return one_line(error) or type(error).__name__


_reading = threading.Lock()
_readers = 0
_filters: warnings.catch_warnings[None] | None = None


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Mute Pillow's own warnings, which name no file; errors remain.

    The filters belong to the whole process, so the first of several threads sets them and the last restores them.
    """
    global _readers, _filters
    with _reading:
        if _readers == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
        _readers += 1
    try:
        yield
    finally:
        with _reading:
            _readers -= 1
            if _readers == 0 and _filters is not None:
                _filters.__exit__(None, None, None)
                _filters = None
