"""What a picture of more than 8 bits says of its own range, and whether it uses it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.errors import PictureError

__all__ = ["SIXTEEN_BIT", "bits_of", "levels_of", "stated_by_tiff", "white_is_zero"]

SIXTEEN_BIT = 2**16 - 1
_PNG = b"\x89PNG\r\n\x1a\n"
_BITS, _PHOTOMETRIC, _LEAST, _MOST = 258, 262, (340, 280), (341, 281)  # the tags of TIFF; SMin and SMax before Min, Max


def bits_of(picture: Image.Image, path: Path) -> int:
    """How many bits a sample of the file has, where that is more than Pillow's mode says; else 8."""
    if picture.format == "TIFF":
        return int(max(_numbers(picture, _BITS) or [8]))
    if picture.format == "PNG":
        return _png_header(path)[0]
    return 8


def white_is_zero(picture: Image.Image) -> bool:
    """Whether a TIFF counts its levels from white, which Pillow turns round for 8 bits only."""
    return picture.format == "TIFF" and _numbers(picture, _PHOTOMETRIC) == [0]


def levels_of(picture: Image.Image, path: Path, values: NDArray[np.generic]) -> tuple[float, float] | None:
    """(black, white) of the grey levels (H, W), as the file states them; None where it does not.

    A TIFF states them by SMinSampleValue and SMaxSampleValue, else MinSampleValue and MaxSampleValue, else by fewer
    than 16 BitsPerSample. A PNG states fewer significant bits (sBIT), and by its specification scales them to all 16;
    one whose low bits are in use did not, and is taken as it was written.
    Raises PictureError where the levels leave the range that the file states.
    """
    stated = stated_by_tiff(picture) if picture.format == "TIFF" else _of_png(picture, path, values)
    if stated is not None:
        least, most = float(values.min()), float(values.max())
        if least < stated[0] or most > stated[1]:
            found, wanted = (f"{low:g} to {high:g}" for low, high in ((least, most), stated))
            raise PictureError(path, f"levels from {found}, and its own tags say {wanted}: name them with --range")
    return stated


def stated_by_tiff(picture: Image.Image) -> tuple[float, float] | None:
    """(black, white) as the tags of a TIFF have it; None for another file, and where they do not say."""
    low = next((found[0] for tag in _LEAST if (found := _numbers(picture, tag))), 0)
    high = next((found[0] for tag in _MOST if (found := _numbers(picture, tag))), None)
    bits = (_numbers(picture, _BITS) or [8])[0]
    if high is None and picture.mode.startswith("I") and 8 < bits < 16:
        high = 2**bits - 1
    return None if high is None or high <= low else (low, high)


def _of_png(picture: Image.Image, path: Path, values: NDArray[np.generic]) -> tuple[float, float] | None:
    if picture.format != "PNG":
        return None
    bits = _png_header(path)[1]
    if not 0 < bits < 16:
        return None
    whole = np.asarray(values).astype(np.int64)
    unscaled = int(whole.max()) < 2**bits and bool((whole % 2 ** (16 - bits)).any())
    return (0, 2**bits - 1 if unscaled else SIXTEEN_BIT)


def _numbers(picture: Image.Image, tag: int) -> list[float]:
    """The values of a TIFF's tag, empty where it has none or they are no numbers."""
    found = getattr(picture, "tag_v2", {}).get(tag, ())
    values: Sequence[object] = found if isinstance(found, tuple | list) else (found,)
    return [number for value in values if (number := _number(value)) is not None]


def _number(value: object) -> float | None:
    """The number that a tag holds; None for whatever else a damaged one does."""
    try:
        number = float(str(value)) if isinstance(value, str) else float(value)  # type: ignore[arg-type]  # tried
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _png_header(path: Path) -> tuple[int, int]:
    """(bits a sample, significant bits or 0) of a PNG; (8, 0) where its chunks are damaged."""
    try:
        with path.open("rb") as file:
            if file.read(8) != _PNG:
                return 8, 0
            depth = 8
            for _ in range(64):  # sBIT stands before the palette and the pixels
                length, kind = struct.unpack(">I4s", file.read(8))
                if kind == b"IHDR":
                    depth = file.read(length)[8]
                elif kind == b"sBIT":
                    return depth, max(file.read(min(length, 4)))
                elif kind in (b"IDAT", b"IEND"):
                    break
                else:
                    file.seek(length, 1)
                file.seek(4, 1)
            return depth, 0
    except (OSError, struct.error, IndexError, ValueError):
        return 8, 0
