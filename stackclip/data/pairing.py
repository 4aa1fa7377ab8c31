"""Pairs pictures with their masks by file stem, never by position."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stackclip.data.labels import MASK_ENDINGS, composed, says_mask, without_ending
from stackclip.data.listing import folders_in, pictures_in
from stackclip.data.look import look_of, majority
from stackclip.errors import DataError

__all__ = ["Apart", "MaskFolder", "apart", "check_masks"]

_ENDINGS = 16


class MaskFolder:
    """The masks of one defect: a file, or a folder of files whose union counts, named by the stem of its picture.

    Each of `endings` may stand behind the stem, in any case: `STEM_mask.png` or `STEM.png`, unless others are named.
    A folder that is not there says that the defect is not localised; a mask that lacks in a folder that is there is
    a gap, and the path at which it was expected stands in for it, so that whoever reads it can name it.
    Raises DataError where two files claim one stem.
    """

    def __init__(self, folder: Path, *, endings: tuple[str, ...] = MASK_ENDINGS) -> None:
        self.folder = folder
        self.endings = endings
        self._by_stem: dict[str, Path] | None = self._files() if folder.is_dir() else None
        self._by_owner: dict[str, list[Path]] = {}
        for path in (self._by_stem or {}).values() if endings is MASK_ENDINGS else ():
            self._by_owner.setdefault(without_ending(path.stem) or "", []).append(path)

    def find(self, picture: Path) -> Path | None:
        """The mask of a picture that is there, or None; raises DataError where two have its stem and other signs."""
        masks, stem = self._by_stem or {}, composed(picture.stem)
        for ending in self.endings:
            if (key := stem + ending.lower()) in masks:
                return masks[key]
        found = self._by_owner.get(stem, [])
        if len(found) > 1:
            raise self._doubled(*found[:2])
        return found[0] if found else None

    def of(self, picture: Path) -> Path | None:
        """The mask of a picture; where it lacks, the path it should have; None where nothing is localised."""
        if self._by_stem is None:
            return None
        return self.find(picture) or self.folder / f"{picture.stem}{self._usual_ending()}.png"

    def _usual_ending(self) -> str:
        """The ending that the masks in the folder have; the first where they have none or there are no masks."""
        held = self._by_stem or {}
        named = [ending for ending in self.endings if ending and any(key.endswith(ending.lower()) for key in held)]
        return "" if held and not named and "" in self.endings else [*named, *self.endings][0]

    def _files(self) -> dict[str, Path]:
        found = {self._key(path.name): path for path in folders_in(self.folder)}
        files: dict[str, Path] = {}
        for path in pictures_in(self.folder):
            key = self._key(path.stem)
            if key in files:
                raise self._doubled(files[key], path)
            files[key] = path
        return {**found, **files}

    def _doubled(self, first: Path, second: Path) -> DataError:
        return DataError(f"{self.folder}: both {first.name} and {second.name} claim to be one mask: remove one")

    def _key(self, stem: str) -> str:
        """A stem as it is looked up: composed, and its ending in small letters."""
        text = composed(stem)
        ending = next((each.lower() for each in self.endings if each and text.lower().endswith(each.lower())), "")
        return text[: len(text) - len(ending)] + ending


class Apart(NamedTuple):
    """The files of one folder: `pictures`, the masks of some of them, and masks by name and look that are of none."""

    pictures: list[Path]
    masks: dict[Path, Path]
    alone: list[Path]


def apart(files: Sequence[Path], *, strict: bool) -> Apart:
    """Part the pictures among the files of one folder from the masks beside them.

    Masks are `x_mask.png` beside `x.jpg` (any of the endings), `x.png` beside `x.jpg` where it alone looks like one,
    and what looks like masks beside photographs and has a picture's name with any ending, `x_m.png`. Masks by their
    names that look like photographs are pictures, or if `strict` DataError is raised; so it is for a picture that is
    there twice, and for a mask that is: where masks are wanted, nobody can tell.
    """
    stems: dict[str, list[Path]] = {}
    for path in files:
        stems.setdefault(composed(path.stem).casefold(), []).append(path)
    twins = _twins([same for same in stems.values() if len(same) > 1], strict=strict)
    named = _by_name(stems, strict=strict)
    found = named | twins | _by_look(stems, {*named, *twins})
    of: dict[Path, list[Path]] = {}
    for mask, picture in found.items():
        of.setdefault(twins.get(picture, picture), []).append(mask)
    for picture, several in of.items() if strict else ():
        if len([mask for mask in several if mask in named or mask in twins]) > 1:
            raise DataError(f"{several[1]}: a second mask of {picture.name}, beside {several[0].name}; remove one")
    paired = {picture: masks[0] for picture, masks in of.items() if len(masks) == 1}
    alone = [mask for masks in of.values() if len(masks) > 1 for mask in masks]
    others = [path for path in files if strict and path not in found and path not in paired and says_mask(path.stem)]
    alone += [path for path in others if look_of(path) in ("mask", "flat")]
    left = {*found, *alone}
    return Apart([path for path in files if path not in left], paired, alone)


def check_masks(paths: Sequence[Path]) -> None:
    """Raises DataError where files that are masks by their names are pictures by what they show."""
    if majority(paths) == "photograph":
        path = next((path for path in paths if look_of(path) == "photograph"), paths[0])
        raise DataError(
            f"{path}: a mask by its name or its folder's, and a picture by its pixels; if so, call it otherwise, or "
            f"its folder {path.parent.name}_pictures"
        )


def _by_name(stems: dict[str, list[Path]], *, strict: bool) -> dict[Path, Path]:
    """The masks that say whose they are, and their pictures."""
    named: dict[Path, Path] = {}
    for same in stems.values():
        of = stems.get((without_ending(same[0].stem) or "").casefold())
        if of is not None and len(same) == 1:
            named[same[0]] = of[0]
    if strict:
        check_masks(list(named))
    return {} if majority(list(named)) == "photograph" else named


def _twins(several: Sequence[list[Path]], *, strict: bool) -> dict[Path, Path]:
    """The mask of each set of files of one stem, with its picture; decided for their extensions, not set by set."""
    masks: dict[Path, Path] = {}
    by_suffix: dict[tuple[str, ...], list[list[Path]]] = {}
    for same in several:
        by_suffix.setdefault(tuple(path.suffix for path in same), []).append(same)
    for suffixes, sets in by_suffix.items():
        looks = [majority([same[place] for same in sets]) for place in range(len(suffixes))]
        pictures = [place for place, look in enumerate(looks) if look == "photograph"]
        others = [place for place, look in enumerate(looks) if look in ("mask", "flat")]
        if len(suffixes) == 2 and len(pictures) == len(others) == 1:
            masks.update({same[others[0]]: same[pictures[0]] for same in sets})
        elif strict and len({suffix.lower() for suffix in suffixes}) == len(suffixes):
            first, *_, last = sets[0]
            unread = next((path for path, look in zip(sets[0], looks, strict=True) if look == "unknown"), None)
            why = f"{unread.name} cannot be read" if unread else "its mask, or a picture twice?"
            raise DataError(f"{last}: beside {first.name}: {why}; call the mask STEM_mask.png")
    return masks


def _by_look(stems: dict[str, list[Path]], known: set[Path]) -> dict[Path, Path]:
    """The masks with a picture's name and an ending that is none of ours, and their pictures; ending by ending.

    Where there are many endings, those that stand once are none.
    """
    by_ending: dict[str, dict[Path, Path]] = {}
    above: list[str] = []
    for stem in sorted(stems):
        while above and not stem.startswith(above[-1]):
            above.pop()
        if above and len(stems[stem]) == 1 and stems[stem][0] not in known:
            ending = stem[len(above[-1]) :]
            if not (ending[0].isdigit() and above[-1][-1:].isdigit()):
                by_ending.setdefault(ending, {})[stems[stem][0]] = stems[above[-1]][0]
        above.append(stem)
    found: dict[Path, Path] = {}
    for pairs in by_ending.values():
        if len(by_ending) > _ENDINGS and len(pairs) == 1:
            continue
        if majority(list(pairs)) in ("mask", "flat") and majority(list(pairs.values())) == "photograph":
            found |= pairs
    return found
