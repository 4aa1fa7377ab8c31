"""What files look like, as far as that tells masks from photographs; what they are called does not matter here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from stackclip.data.images import open_picture
from stackclip.data.paint import MIDDLE, NoMask, Unclear, anomalous_pixels
from stackclip.errors import PictureError
from stackclip.ops.spread import evenly

__all__ = ["Look", "look_of", "majority"]

Look = Literal["mask", "flat", "photograph", "unknown"]
"""A mask; nearly one value, which says little; a photograph; what cannot be read, or leaves it open."""

_LARGEST = 256 << 20  # bytes of a file that is opened to see what it is
_LOOKED_AT = 8
_LARGE_ENOUGH = 128  # pixels of a side
_ENOUGH = 2  # of one look, and none of the other


def majority(paths: Sequence[Path]) -> Look:
    """What most of the files look like; up to 8 of them are opened, evenly spread, and 2 where those agree.

    Files that say little count only where all do.
    """
    seen: dict[Look, int] = {"mask": 0, "flat": 0, "photograph": 0, "unknown": 0}
    for path in evenly(paths, _LOOKED_AT):
        seen[look_of(path)] += 1
        most = max(seen["mask"], seen["photograph"])
        if most >= _ENOUGH and most == seen["mask"] + seen["photograph"]:
            break
    if seen["mask"] or seen["photograph"]:
        return "mask" if seen["mask"] > seen["photograph"] else "photograph"
    return "flat" if seen["flat"] else "unknown"


def look_of(path: Path) -> Look:
    """What one file looks like."""
    try:
        facts = path.stat()
    except OSError:
        return "unknown"
    return "unknown" if facts.st_size > _LARGEST else _look(os.fspath(path), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=65536)
def _look(path: str, size: int, changed: int) -> Look:
    """A file of this size and time is opened once."""
    try:
        if _is_plainly_a_photograph(Path(path)):
            return "photograph"
        paint = anomalous_pixels(Path(path))
    except NoMask:
        return "photograph"
    except Unclear:
        return "flat"
    except PictureError:
        return "unknown"
    return "flat" if paint.all() or not paint.any() else "mask"


def _is_plainly_a_photograph(path: Path) -> bool:
    """Whether a JPEG at an eighth of its size is mostly neither ground nor paint; that costs little to see."""
    with open_picture(path) as picture:
        if picture.format != "JPEG" or min(picture.size) < _LARGE_ENOUGH:
            return False
        picture.draft("L", (1, 1))
        values = np.asarray(picture.convert("L"), np.float32)
    middle = (values > values.max() / 5) & (values < values.max() * 4 / 5)
    return bool(middle.mean() > MIDDLE)
