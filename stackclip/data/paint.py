"""What the pixels of a mask file mean, and which files cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data.depth import bits_of, white_is_zero
from stackclip.data.images import open_picture, turned
from stackclip.data.photograph import is_photograph
from stackclip.errors import PictureError

__all__ = ["NoMask", "Unclear", "anomalous_pixels", "is_lossy"]

_COLOURLESS = ("1", "L", "I", "F")
_LEAST_LOSSY = 32  # a lossy codec leaves values of its own up to about this
MIDDLE = 0.3  # of a lossy file; more is neither ground nor paint
_TENTH = 26  # of 255
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp", "jpeg2000")
_VP8 = b"VP8 "  # the chunk of a lossy WebP; a lossless one has VP8L
_BLACK = (0, 0, 0)


class NoMask(PictureError):
    """A file that is a picture by its pixels, and not a mask that leaves something open."""


class Unclear(PictureError):
    """A file that is too dark to tell whether it is a mask."""


def anomalous_pixels(path: Path) -> NDArray[np.bool_]:
    """Where the mask file has paint, (H, W).

    - Grey of any depth: above 0, so that 0/1, 0/255 and defect numbers are one. A palette: index above 0.
    - Colour: any channel above 0.
    - A canvas that is clear somewhere: where it is not clear; and if black and colours are painted side by side on a
      canvas that is mostly opaque, the colours, as black is then its ground.
    - A lossy file (JPEG, lossy WebP, TIFF with either): above half of its maximum, since its codec leaves values
      around 0.

    Raises PictureError, with what was wanted, for a file that cannot be read or leaves open what is anomalous: without
    any ground, grown from a photograph or a heat map, several defect numbers through a lossy codec, NaN or values
    below 0, several pages, 16-bit colour whose high bytes are empty, a palette whose index 0 is painted on black.
    """
    with open_picture(path) as picture:
        lossy = is_lossy(picture)
        pages = getattr(picture, "n_frames", 1)
        if pages > 1 and picture.format != "MPO":
            raise PictureError(path, f"mask of {pages} pages; wanted one")
        if white_is_zero(picture) and picture.mode.startswith("I"):
            raise PictureError(path, "16-bit mask that counts from white; wanted 0 where nothing is anomalous")
        deep_colour = not picture.mode.startswith(_COLOURLESS) and bits_of(picture, path) > 8
        mask = turned(picture)
        if (canvas := _canvas(path, mask, lossy=lossy)) is not None:
            return canvas
        if mask.mode == "P":
            return _by_index(path, mask)
        values, colours = _strength(path, mask)
    if deep_colour and not values.any():
        raise PictureError(path, "16-bit colour of which the high bytes are empty; wanted grey, or 8 bits a channel")
    if lossy:
        return _above_half(path, values)
    if values.dtype != np.bool_:
        _check_ground(path, values, colours)
    return np.asarray(values > 0)


def is_lossy(picture: Image.Image) -> bool:
    """Whether a codec changed the picture's values a little."""
    if picture.format in ("JPEG", "MPO"):
        return True
    if picture.format == "TIFF":
        return picture.info.get("compression") in _LOSSY_TIFF
    file = getattr(picture, "fp", None)
    return picture.format == "WEBP" and file is not None and _has_chunk(file, _VP8)


def _has_chunk(file: IO[bytes], wanted: bytes) -> bool:
    """Whether a RIFF file has a chunk of that kind; where the file stands does not change."""
    place = file.tell()
    file.seek(12)
    found = False
    while not found and len(head := file.read(8)) == 8:
        found = head[:4] == wanted
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, 1)
    file.seek(place)
    return found


def _strength(path: Path, mask: Image.Image) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """The value of each pixel, (H, W), and its colours, (H, W, 3), of which the strongest channel counts."""
    if not mask.mode.startswith(_COLOURLESS):
        colours = np.asarray(mask.convert("RGB"))
        return np.asarray(colours.max(axis=2)), colours
    values = np.asarray(mask)
    if mask.mode == "F" and np.isnan(values).any():
        raise PictureError(path, "float mask with NaN")
    if values.dtype != np.bool_ and values.min() < 0:
        raise PictureError(path, f"mask with values down to {values.min():g}; wanted 0 where nothing is anomalous")
    return values, None


def _by_index(path: Path, mask: Image.Image) -> NDArray[np.bool_]:
    """A palette's index above 0, whatever its colour; `index 0` must not be the paint on a black ground."""
    indices, drawn = np.asarray(mask), np.asarray(mask.convert("RGB"))
    _check_values(path, drawn.max(axis=2), drawn)
    palette = (mask.getpalette() or [])[: 3 * 256]
    colours = {int(index): tuple(palette[3 * index : 3 * index + 3]) for index in np.unique(indices)}
    if 0 in colours and colours[0] != _BLACK and _BLACK in colours.values():
        raise PictureError(path, f"palette whose index 0 is {colours[0]} beside black; wanted black or grey as index 0")
    return np.asarray(indices > 0)


def _canvas(path: Path, mask: Image.Image, *, lossy: bool) -> NDArray[np.bool_] | None:
    """The paint on a canvas that is clear somewhere, (H, W); None where nothing is clear."""
    if "A" not in mask.getbands() and "a" not in mask.mode and "transparency" not in mask.info:
        return None
    values = np.asarray(mask.convert("RGBA"))
    coloured, visible = (values[..., :3] > 0).any(axis=2), values[..., 3] > 0
    if visible.all():
        if coloured.all() and len(np.unique(values[..., 3])) > 1:
            raise PictureError(path, "mask without a ground: coloured everywhere and nowhere clear; wanted 0 or clear")
        return None
    colours = values[..., :3] * visible[..., None]
    _check_values(path, colours.max(axis=2), colours)
    covered, black = visible.mean() > 0.5, visible & ~coloured
    if lossy or not black.any():
        return np.asarray(visible)
    if black.sum() == visible.sum():
        if covered:
            raise PictureError(
                path, "black on more than half of a clear canvas: paint or ground; wanted white on black"
            )
        return np.asarray(visible)
    if not covered:
        raise PictureError(path, "black and coloured paint on a clear canvas; wanted one of them, or a black ground")
    return np.asarray(coloured & visible)


def _above_half(path: Path, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Above half of the maximum; raises PictureError where that does not part the values in two."""
    most = int(values.max())
    if most == 0:
        return np.zeros(values.shape, dtype=np.bool_)
    if most < _LEAST_LOSSY:
        raise Unclear(path, f"lossy mask with values up to {most}; wanted 0 and 255, or a PNG")
    middle = (values > most * 0.2) & (values < most * 0.8)
    if (
        middle.mean() > MIDDLE
        or _has_plateau(middle, values, most)
        or is_photograph(np.where(values > most / 5, values, 0))
    ):
        raise NoMask(
            path, "lossy mask with more than two values: its defect numbers cannot be told, if it is one; wanted PNG"
        )
    return np.asarray(values > most / 2)


def _has_plateau(middle: NDArray[np.bool_], values: NDArray[Any], most: int) -> bool:
    """Whether 5 x 5 pixels in the `middle` (H, W) differ by less than a tenth of the maximum."""
    from scipy import ndimage

    grey = (255 * (values / most)).astype(np.uint8)
    even = ndimage.maximum_filter(grey, 5).astype(np.int64) - ndimage.minimum_filter(grey, 5) < _TENTH
    return bool((even & ndimage.minimum_filter(middle, 5)).any())


def _check_ground(path: Path, values: NDArray[Any], colours: NDArray[np.uint8] | None) -> None:
    """Raises PictureError for values (H, W) that have several levels and no ground, or vary as a photograph's."""
    if values.min() > 0 and values.min() != values.max():
        raise NoMask(path, "mask without a ground: no value is 0; wanted 0 where nothing is anomalous")
    _check_values(path, values, colours)


def _check_values(path: Path, values: NDArray[Any], colours: NDArray[np.uint8] | None) -> None:
    if is_photograph(values, colours):
        raise NoMask(path, "continuous values, as of a photograph or a heat map; wanted a mask")
