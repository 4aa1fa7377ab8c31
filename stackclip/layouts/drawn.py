"""What data sets that are drawn have in common: numbers in range, a seed for each picture, folders written whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from stackclip.errors import BadOption
from stackclip.ops.files import naming, sync_folder, sync_tree

__all__ = ["check_ranges", "seed_of", "write_picture", "written_once"]


def check_ranges(who: str, **ranges: tuple[int, int, int]) -> None:
    """Raise BadOption for an option (value, lowest, highest) that is out of range."""
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise BadOption(f"{who}: {name}={value} is not in {low} to {high}")


def seed_of(*words: int | str) -> int:
    """The seed of the picture that these words name."""
    return int.from_bytes(blake3("/".join(map(str, words)).encode()).digest(7), "little")


def written_once(root: Path, write: Callable[[Path], None]) -> Path:
    """Have `write` fill the folder `root`, unless it is there; return it.

    It is drawn into a hidden folder that is then renamed, so what has the name is whole, and of two processes that draw
    at once one finds the other's work done.
    """
    if root.is_dir():
        return root
    folder = root.parent
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=folder))
    try:
        draft.chmod(0o755)
        write(draft)
        sync_tree(draft)
        try:
            draft.rename(root)
        except OSError:
            if not root.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder)
    return root


def write_picture(folder: Path, name: str, pixels: NDArray[np.uint8]) -> None:
    """Write pixels as a PNG of this name."""
    folder.mkdir(parents=True, exist_ok=True)
    with naming(folder / name):
        Image.fromarray(pixels).save(folder / name, "PNG", compress_level=1)
