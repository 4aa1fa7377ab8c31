"""What an annotation file says of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stackclip.data.outlines import Marking
from stackclip.types import Split

__all__ = ["DrawnPicture"]


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """The picture, None where it is not there, and what is drawn on it.

    `said` is what the file `source` calls the picture. `shapes` lie on a picture of `size` (height, width), None where
    the file does not say; `words` are classes of the whole picture; `note` is what is to be said of how it was read.
    """

    image: Path | None
    said: str
    source: Path
    shapes: tuple[Marking, ...]
    size: tuple[int, int] | None = None
    words: tuple[str, ...] = ()
    split: Split | None = None
    note: str = ""
