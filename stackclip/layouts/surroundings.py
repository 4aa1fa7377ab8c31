"""What lies around annotations: files of a format, the pictures, and folders that say more than they do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from stackclip.data.labels import holds_drawings, holds_masks, is_good
from stackclip.data.listing import files_below, folders_in, pictures_below
from stackclip.data.look import majority
from stackclip.data.pairing import apart
from stackclip.layouts.splits import split_named

__all__ = ["files_near", "files_of", "is_laid_out", "photographs"]

_DEEPEST = 3  # folders below the root that tell a layout
_MOST = 64  # of them in all
_LOOKED_AT = 3  # files of each


def files_of(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files below a root with one of the extensions, in small letters, by folder and name."""
    return [
        folder / name for folder, names, _ in files_below(root) for name in names if name.lower().endswith(suffixes)
    ]


def files_near(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """A few such files of the root and of each folder near below it, hidden ones left out."""
    for folder in _near(root):
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(suffixes))  # noqa: PTH208 - names
        yield from [folder / name for name in names if not name.startswith(".")][:_LOOKED_AT]


def is_laid_out(root: Path) -> bool:
    """Whether there are masks in a folder of their own, or good pictures in one of a split, as MVTec-AD has them."""
    return any(
        (holds_masks(folder.name) and next(pictures_below(folder), None))
        or (is_good(folder.name) and folder.parent != root.parent and split_named((folder.parent.name,)))
        for folder in _near(root)[1:]
    )


def photographs(root: Path) -> list[Path]:
    """All pictures below the root but masks, and what was drawn of pictures, by path."""
    by_place: dict[Path, list[Path]] = {}
    for path in pictures_below(root):
        by_place.setdefault(path.parent, []).append(path)
    kept: list[Path] = []
    for place, files in by_place.items():
        parts = place.relative_to(root).parts
        if any(holds_drawings(part) for part in parts):
            continue
        if not any(holds_masks(part) for part in parts) or majority(files) == "photograph":
            kept += apart(files, strict=False).pictures
    return sorted(kept)


def _near(root: Path) -> Sequence[Path]:
    level, found = [root], [root]
    for _ in range(_DEEPEST):
        level = [child for folder in level for child in folders_in(folder)][: _MOST - len(found)]
        found += level
    return found
