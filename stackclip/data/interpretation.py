"""What a reader understood of a root: samples, the files that told it, and what a person should know of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stackclip.types import Sample

__all__ = ["Interpretation"]


@dataclass(frozen=True, slots=True)
class Interpretation:
    """Samples, and where they were read from.

    `root` is the folder below which the pictures lie, `files` are those that were read and are no picture's nor mask's.
    `how` ends the layout's title in the finding, `notes` are lines of their own under it.
    """

    samples: tuple[Sample, ...]
    root: Path
    files: frozenset[Path] = frozenset()
    how: str = ""
    notes: tuple[str, ...] = ()
