"""The words that would make a folder readable, with the names that were found in it."""

from __future__ import annotations

from pathlib import Path

from stackclip.data.labels import GOOD_FOLDERS, holds_drawings, holds_masks, is_good, may_be_good, without_ending
from stackclip.data.listing import files_below, is_picture

__all__ = ["label_words", "picture_folders"]

_NAMED = 3


def picture_folders(root: Path) -> dict[Path, int]:
    """The folders below a root that hold pictures themselves, the root among them, with how many."""
    counts = {place: sum(map(is_picture, names)) for place, names, _ in files_below(root)}
    return {place: count for place, count in counts.items() if count}


def label_words(root: Path) -> str:
    """What could be typed for a folder whose pictures have no labels: `shots[good=fine,bad=dent+scratch]`.

    What is called as good pictures may be comes first, else the folder of the most pictures. Without folders it is said
    where pictures belong.
    """
    held = {place: count for place, count in picture_folders(root).items() if place != root}
    masks = [place for place in held if holds_masks(place.name) or without_ending(place.name)]
    labels = [place for place in held if place not in masks and not holds_drawings(place.name)]
    if not labels:
        return f"{root}/{GOOD_FOLDERS[0]}/ for good pictures and {root}/DEFECT/ for each defect"
    good = max(labels, key=lambda place: (is_good(place.name) + may_be_good(place.name), held[place]))
    names = list(dict.fromkeys(_name(place, root, labels) for place in labels if place != good))
    bad = f",bad={'+'.join(names[:_NAMED])}" if names else ""
    return f"'{root}[good={_name(good, root, labels)}{bad}]'" + (" ..." if len(names) > _NAMED else "")


def _name(place: Path, root: Path, labels: list[Path]) -> str:
    """A folder's own name where it is the only one called so, else its path."""
    alone = sum(other.name == place.name for other in labels) == 1
    return place.name if alone else place.relative_to(root).as_posix()
