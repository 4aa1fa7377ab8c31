"""Pictures that were named one by one or by a pattern, where a folder could stand."""

from __future__ import annotations

import glob
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from stackclip.data.listing import is_picture
from stackclip.data.naming import places_of
from stackclip.errors import DataError
from stackclip.ops.outputs import is_output
from stackclip.ops.words import counted
from stackclip.types import NORMAL, UNLABELLED, Sample

__all__ = ["PICKED", "Picked", "picked_files", "unlabelled_samples"]


PICKED = "pictures"
"""The layout of pictures that were named themselves; no reader has it."""


class Picked(NamedTuple):
    """The files that were named, sorted, the folder that holds them all, and in words what else has the pattern."""

    root: Path
    files: tuple[Path, ...]
    left_out: tuple[str, ...] = ()


def picked_files(text: str, data_root: Path | None) -> Picked | None:
    """The picture file that a text names, or those that have its pattern (`shots/*.png`, `**` for any folders).

    None for any other text. What stackclip drew and hidden files are not among them. Raises DataError for a pattern
    that no picture has.
    """
    places = places_of(text, data_root)
    for place in places:
        if place.is_file() and is_picture(place.name):
            return Picked(place.parent, (place,))
    if any(place.exists() for place in places) or not glob.has_magic(text):
        return None
    found = [_matching(place) for place in places]
    if chosen := next((each for each in found if each.files), None):
        return chosen
    if text.endswith("]") and "=" in text:  # a folder with options, which is not there
        return None
    held = next((f" ({', '.join(each.left_out)})" for each in found if each.left_out), "")
    raise DataError(f"{places[-1]}: no picture has this pattern{held}; name a folder, a picture, or another pattern")


def unlabelled_samples(picked: Picked, name: str) -> tuple[Sample, ...]:
    """The files as pictures to be tested of which nothing is known; their category is called as their folder."""
    return tuple(
        Sample(
            id=image.relative_to(picked.root).as_posix(),
            dataset=name,
            category=picked.root.name or "root",
            split="test",
            image=image,
            mask=None,
            label=NORMAL,
            defect=UNLABELLED,
        )
        for image in picked.files
    )


def _matching(place: Path) -> Picked:
    """The files below the folders of a pattern that have no pattern in them."""
    fixed = Path(place.anchor)
    for part in place.parts[len(fixed.parts) : -1]:
        if glob.has_magic(part):
            break
        fixed /= part
    every = sorted(Path(each) for each in glob.glob(str(place), recursive=True))  # noqa: PTH207 - of an absolute path
    files = [path for path in every if path.is_file() and not _is_drawn(path, fixed)]
    pictures = tuple(path for path in files if is_picture(path.name))
    kinds = Counter(path.suffix.lower() or "without an extension" for path in files if not is_picture(path.name))
    left_out = [f"{counted(sum(kinds.values()), 'other file')} left out: {', '.join(sorted(kinds))}"] if kinds else []
    if drawn := sum(path.is_file() for path in every) - len(files):
        left_out.append(f"{counted(drawn, 'file')} that stackclip wrote left out")
    if folders := sum(path.is_dir() and path != fixed for path in every):
        left_out.append(f"{counted(folders, 'folder')} left out")
    return Picked(fixed, pictures, tuple(left_out))


def _is_drawn(path: Path, root: Path) -> bool:
    """Whether stackclip filled the folder of a file, or one around it below the root."""
    return any(is_output(folder) for folder in path.parents if folder.is_relative_to(root))
