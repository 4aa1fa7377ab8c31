"""What data sets that are drawn have in common: numbers in range, a seed for each picture, and how it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from stackclip.errors import BadOption
from stackclip.ops.named_errors import naming

__all__ = ["check_ranges", "seed_of", "write_picture"]


def check_ranges(who: str, **ranges: tuple[int, int, int]) -> None:
    """Raise BadOption for an option (value, lowest, highest) that is out of range."""
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise BadOption(f"{who}: {name}={value} is not in {low} to {high}")


def seed_of(*words: int | str) -> int:
    """The seed of the picture that these words name."""
    return int.from_bytes(blake3("/".join(map(str, words)).encode()).digest(7), "little")


def write_picture(folder: Path, name: str, pixels: NDArray[np.uint8]) -> None:
    """Write pixels as a PNG of this name."""
    folder.mkdir(parents=True, exist_ok=True)
    with naming(folder / name):
        Image.fromarray(pixels).save(folder / name, "PNG", compress_level=1)
