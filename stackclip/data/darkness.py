"""Whether pictures of more than 8 bits use so little of their range that they come out dark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stackclip.data.depth import SIXTEEN_BIT, bits_of, levels_of
from stackclip.data.images import open_picture, turned
from stackclip.errors import PictureError
from stackclip.ops.spread import evenly
from stackclip.types import Sample

__all__ = ["unused_range"]

_LOOKED_AT = 8
_LITTLE = SIXTEEN_BIT / 4 + 1  # 14 bits, as cameras have, are just below


def unused_range(samples: Sequence[Sample]) -> str:
    """One line where pictures of 16 bits do not say what is white and use little of their range; else empty.

    Some are opened, evenly spread.
    """
    paths = [sample.image for sample in evenly(samples, _LOOKED_AT)]
    levels = {path: _brightest(path) for path in paths}
    used = {path: level for path, level in levels.items() if level is not None}
    if not used or max(used.values()) >= _LITTLE:
        return ""
    most, first = max(used.values()), next(iter(used)).name
    return (
        f"pictures of 16 bits use levels up to {most} of {SIXTEEN_BIT}, and come out dark ({first}, ...):"
        f" --range 0:{2 ** most.bit_length() - 1} makes that white, --range file takes them as they are"
    )


def _brightest(path: Path) -> int | None:
    """The highest level of a picture of 16 bits that does not state its range; None for any other."""
    try:
        with open_picture(path) as picture:
            bits = bits_of(picture, path)
            if bits != 16 and not picture.mode.startswith("I"):
                return None
            upright = turned(picture)
            values = np.asarray(upright)
            if upright.mode.startswith("I"):
                return None if levels_of(picture, path, values) else int(values.max())
            return int(values.max()) * 257 if upright.mode in ("RGB", "RGBA", "LA") else None
    except PictureError:  # it is named where it is read
        return None
