"""Masks that were drawn as shapes, written as PNGs once, each under a name that its content gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from stackclip.data.images import PIXEL_LIMIT, PictureFrame, png_of
from stackclip.data.outlines import Marking
from stackclip.errors import DataError
from stackclip.ops.files import content_hash, write_atomically
from stackclip.ops.outputs import mark_output

__all__ = ["MASKS", "Exif", "fits", "painted_mask"]

MASKS = "masks-of-annotations"
"""The folder below that of generated pictures in which they lie."""

Exif = Literal["auto", "applied", "ignored"]
"""Whether a picture's EXIF orientation was applied when it was annotated; `auto` tells by the size, if that does."""

_EDITION = 1  # rises with every change of which pixels a shape covers


def painted_mask(
    shapes: Sequence[Marking], size: tuple[int, int], frame: PictureFrame, folder: Path, *, exif: Exif = "auto"
) -> Path:
    """The mask of shapes that were drawn on (height, width) pixels, as the picture is read: upright.

    An edited annotation, another size and another orientation make another mask; what is there is not drawn again.
    Raises DataError for more pixels than a picture may have, OSError.
    """
    if size[0] * size[1] > PIXEL_LIMIT or min(size) < 1:
        raise DataError(f"annotations for {size[1]} x {size[0]} pixels; wanted 1 to {PIXEL_LIMIT} in all")
    turn = frame.turn if _is_stored(size, frame, exif) else None
    facts = repr((_EDITION, size, turn and int(turn), tuple(shapes)))
    path = folder / MASKS / f"{content_hash(facts.encode('utf-8', 'backslashreplace'))[:32]}.png"
    if not path.is_file():
        mark_output(path.parent)
        canvas = np.zeros(size, dtype=np.bool_)
        for shape in shapes:
            shape.paint(canvas)
        mask = Image.fromarray(canvas.astype(np.uint8) * np.uint8(255))
        write_atomically(path, png_of(mask if turn is None else mask.transpose(turn), 1))
    return path


def fits(size: tuple[int, int], frame: PictureFrame, exif: Exif) -> bool:
    """Whether what was drawn on (height, width) pixels is of the size of the picture."""
    return size == (frame.stored if _is_stored(size, frame, exif) else frame.upright)


def _is_stored(size: tuple[int, int], frame: PictureFrame, exif: Exif) -> bool:
    """Whether the shapes lie on the picture as its file has it, before it is turned."""
    if exif == "auto":
        return size != frame.upright and size == frame.stored
    return exif == "ignored"
