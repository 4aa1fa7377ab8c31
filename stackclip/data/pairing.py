"""Pairs pictures with their masks by file stem, never by position."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackclip.data.images import open_picture, turned
from stackclip.data.labels import MASK_ENDINGS, composed, says_mask, without_ending
from stackclip.data.listing import folders_in, pictures_in
from stackclip.data.paint import is_lossy, why_no_mask
from stackclip.data.photograph import FEW, is_photograph
from stackclip.errors import DataError, PictureError

__all__ = ["MaskFolder", "apart", "check_masks", "looks_like_masks", "why_pictures"]

_LOOKED_AT = 8
_LARGEST = 32 << 20  # bytes of a file that is opened to see whether it is a mask


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

    def find(self, picture: Path) -> Path | None:
        """The mask of a picture that is there, or None."""
        masks, stem = self._by_stem or {}, composed(picture.stem)
        return next((masks[key] for ending in self.endings if (key := stem + ending.lower()) in masks), None)

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
                names = f"{files[key].name} and {path.name}"
                raise DataError(f"{self.folder}: both {names} claim to be one mask: remove one")
            files[key] = path
        return {**found, **files}

    def _key(self, stem: str) -> str:
        """A stem as it is looked up: composed, and its ending in small letters."""
        text = composed(stem)
        ending = next((each.lower() for each in self.endings if each and text.lower().endswith(each.lower())), "")
        return text[: len(text) - len(ending)] + ending


def apart(files: Sequence[Path], *, strict: bool) -> tuple[list[Path], dict[Path, Path]]:
    """The pictures among the files of one folder, and the masks beside them: `x.png` or `x_mask.png` beside `x.jpg`.

    A mask by its name that looks like a photograph is a picture, or if `strict` DataError is raised. Of two files of
    one stem, one is the mask where it alone looks like one; else both are pictures, or if `strict` DataError is raised:
    where masks are wanted, nobody can tell. Then a mask by its name and its look whose picture is not there is no
    picture either.
    """
    stems: dict[str, list[Path]] = {}
    for path in files:
        stems.setdefault(composed(path.stem), []).append(path)
    named: dict[Path, Path] = {}
    for stem, same in stems.items():
        of = stems.get(without_ending(stem) or "")
        if of is not None and len(same) == 1:
            named[same[0]] = of[0]
    masks = named if strict or why_pictures(list(named)) is None else {}
    if strict:
        check_masks(list(masks))
    doubles = [same for same in stems.values() if len(same) == 2]
    twins = _twins(doubles)
    for first, second in doubles if strict else []:
        if first not in twins and second not in twins:
            raise DataError(f"{second}: beside {first.name}: its mask, or a picture twice? call the mask STEM_mask.png")
    masks = masks | twins
    paired = {picture: mask for mask, picture in masks.items()}
    alone = [path for path in files if strict and path not in masks and says_mask(path.stem)]
    unpaired = {path for path in alone if path not in paired and looks_like_masks([path])}
    return [path for path in files if path not in masks and path not in unpaired], paired


def check_masks(paths: Sequence[Path]) -> None:
    """Raises DataError where files that are masks by their names are pictures by what they show."""
    if (found := why_pictures(paths)) is not None:
        path, why = found
        raise DataError(f"{path}: a mask by its name or its folder's, and a picture by its pixels ({why}); rename it")


def why_pictures(paths: Sequence[Path]) -> tuple[Path, str] | None:
    """One of the files and why it is no mask, where at least half of those that are looked at are none."""
    chosen = [path for path in _spread(paths) if _is_small(path)]
    found = [(path, why) for path in chosen if (why := why_no_mask(path)) is not None]
    return found[0] if 2 * len(found) >= len(chosen) > 0 else None


def looks_like_masks(paths: Sequence[Path], *, black: bool = False) -> bool:
    """Whether the files have a ground at 0 and on it two values, a few, or soft edges; up to 8 of them are opened.

    Files that are all black count with `black`, as the masks of good pictures do.
    """
    most = 0
    for path in _spread(paths):
        values = _values_of(path)
        if not values:
            return False
        most = max(most, values)
    return most > (0 if black else 1)


def _spread(paths: Sequence[Path]) -> list[Path]:
    """Up to 8 of the paths, evenly spread."""
    return list(paths[:: max(1, -(-len(paths) // _LOOKED_AT))])


def _twins(doubles: list[list[Path]]) -> dict[Path, Path]:
    """The mask of each pair of one stem, with its picture; decided for the two extensions, not pair by pair."""
    masks: dict[Path, Path] = {}
    by_suffix: dict[tuple[str, ...], list[list[Path]]] = {}
    for same in doubles:
        by_suffix.setdefault(tuple(path.suffix for path in same), []).append(same)
    for pairs in by_suffix.values():
        first, second = (looks_like_masks([pair[place] for pair in pairs], black=True) for place in (0, 1))
        if first != second:
            masks.update({pair[second]: pair[not second] for pair in pairs})
    return masks


def _values_of(path: Path) -> int:
    """How many values a file has that may be a mask: 0 for one that cannot be, or cannot be read."""
    if not _is_small(path):
        return 0
    try:
        with open_picture(path) as picture:
            lossy = is_lossy(picture)
            pixels = turned(picture)
            if pixels.mode not in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16", "I", "F"):
                return 0
            colours = np.asarray(pixels.convert("RGB") if pixels.mode in ("RGBA", "LA") else pixels)
            grey, rgb = (colours, None) if colours.ndim == 2 else (colours.max(axis=2), colours)
    except PictureError:
        return 0
    if lossy:
        return _ends_of(grey)
    if colours.ndim == 3:
        colours = colours.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    values = np.unique(colours)
    if values[0] != 0 or (len(values) > FEW and is_photograph(grey, rgb)):
        return 0
    return len(values)


def _is_small(path: Path) -> bool:
    """Whether the file can be opened without much ado; what it is else is said where it is read."""
    try:
        return path.stat().st_size <= _LARGEST
    except OSError:
        return False


def _ends_of(grey: NDArray[np.integer]) -> int:
    """2 where nearly all of a lossy file's levels (H, W) are near 0 or near the maximum, else 0."""
    near = (grey < 32) | (grey > int(grey.max()) - 32)
    return 2 if grey.max() > 127 and grey.min() < 32 and near.mean() > 0.98 else 0
