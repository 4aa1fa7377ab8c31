"""What the folder of a label holds: pictures, masks beside them, and folders of masks; and what is masks alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackclip.data.labels import composed, holds_drawings, holds_masks, is_good, says_pictures, without_ending
from stackclip.data.listing import pictures_below
from stackclip.data.look import Look, majority
from stackclip.data.pairing import apart, check_masks
from stackclip.errors import DataError

__all__ = ["HOMES", "Held", "masks_by_look"]

HOMES = 32  # folders in one that are looked into


@dataclass
class Held:
    """What the folder of a label holds: pictures, the masks beside them, masks of none, and folders of masks."""

    pictures: list[Path] = field(default_factory=list)
    masks: dict[Path, Path] = field(default_factory=dict)
    alone: list[Path] = field(default_factory=list)
    inner: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, *, strict: bool) -> Held:
        """What is in the folder and in those below it; folders of masks are told by their names or their look.

        `strict` is what `apart` makes of it. Raises DataError.
        """
        held, by_place = cls(), dict[Path, list[Path]]()
        for path in pictures_below(folder):
            by_place.setdefault(path.parent, []).append(path)
        for place in list(by_place):
            parts = place.relative_to(folder).parts
            if any(holds_drawings(part) for part in parts):
                del by_place[place]
            elif any(holds_masks(part) for part in parts):
                check_masks(by_place.pop(place))
        for place in _inner_masks(folder, by_place):
            held.inner.append(place)
            del by_place[place]
        for files in by_place.values():
            found = apart(files, strict=strict)
            held.pictures += found.pictures
            held.masks |= found.masks
            held.alone += found.alone
        return held


def _inner_masks(folder: Path, by_place: Mapping[Path, list[Path]]) -> list[Path]:
    """The folders below a label's whose files look like masks beside others that are photographs."""
    if not 1 < len(by_place) <= HOMES:
        return []
    looks = {place: majority(files) for place, files in by_place.items()}
    below = [place for place in by_place if place != folder and not says_pictures(place.name)]
    return [place for place in below if looks[place] in ("mask", "flat")] if "photograph" in looks.values() else []


def masks_by_look(held: Mapping[Path, Held], good: tuple[str, ...], sure: Collection[Path]) -> list[Path]:
    """The folders whose files are masks by what they are: they look so, and others, of these stems, are photographs.

    Those that are `sure` to hold pictures, as others hold masks of them, are not looked at. Masks by name and look that
    are of no picture in their folder are pictures there if nothing else is a photograph.
    Raises DataError for a folder that looks like masks, or is all black, where nobody can tell.
    """
    looks: dict[Path, Look] = {
        folder: "photograph" if folder in sure and each.pictures else majority(each.pictures or each.alone)
        for folder, each in held.items()
    }
    photographs = any(look == "photograph" for look in looks.values())
    homes: dict[str, list[Path]] = {}
    for folder, each in held.items():
        for path in each.pictures if looks[folder] == "photograph" and not is_good(folder.name, good) else ():
            homes.setdefault(composed(path.stem), []).append(path)
    found = []
    for folder, each in held.items():
        if not photographs or says_pictures(folder.name):
            each.pictures = sorted([*each.pictures, *each.alone])
            continue
        files = [*each.pictures, *each.alone]
        if is_good(folder.name, good) or each.masks or looks[folder] not in ("mask", "flat"):
            continue
        if without_ending(folder.name) or (looks[folder] == "mask" and any(_other(path, homes) for path in files)):
            found.append(folder)
            continue
        raise DataError(
            f"{folder}: masks by their look, beside photographs; call it masks/ or DEFECT_mask/ and its files as their "
            f"pictures if they are, else {folder.name}_pictures/"
        )
    return found


def _other(path: Path, homes: dict[str, list[Path]]) -> Path | None:
    """A picture in another folder of which `path` has the stem, or the stem of a mask."""
    stem = composed(path.stem)
    same = [*homes.get(stem, ()), *homes.get(without_ending(stem) or "", ())]
    return next((each for each in same if each.parent != path.parent), None)
