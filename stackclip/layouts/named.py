"""Pictures in folders that were named: which of them hold good ones and which defects; decision 0051."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stackclip.data.labels import (
    GOOD_FOLDERS,
    composed,
    holds_drawings,
    holds_masks,
    is_good,
    says_nothing,
    without_ending,
)
from stackclip.data.listing import files_below, folders_in, is_picture, pictures_in
from stackclip.data.naming import absolute
from stackclip.data.pairing import apart
from stackclip.errors import DataError
from stackclip.layouts.named_masks import Placed, in_any_case, paired, without_suffix
from stackclip.layouts.splits import split_of_word
from stackclip.ops.files import expanded
from stackclip.ops.words import few_of
from stackclip.types import GOOD

__all__ = ["FolderNames", "named_pictures"]


@dataclass(frozen=True, slots=True)
class FolderNames:
    """What was said of a folder: the folders of good and of bad pictures and of masks, and how masks are called.

    A folder is named as it is called, wherever below the root it lies and in any case, or by its path from the root or
    on the disk; `.` is the root. Without `good` it has one of the usual names; without `bad` its neighbours hold
    defects; without `masks` they have one of the usual names. `mask_suffix` is what stands behind a picture's stem.
    """

    good: tuple[str, ...] = GOOD_FOLDERS
    bad: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    mask_suffix: tuple[str, ...] = ()

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes without the extension that may have been typed with them."""
        return tuple(Path(f"x{each}").stem[1:] if is_picture(each) else each for each in self.mask_suffix)


@dataclass(frozen=True, slots=True)
class _Labels:
    """The folders by what they hold: `good` and `bad` pictures, those of `bad` that were named, and masks."""

    good: frozenset[Path]
    bad: frozenset[Path]
    named: frozenset[Path]
    masks: frozenset[Path]


def named_pictures(root: Path, names: FolderNames) -> list[Placed]:
    """The pictures of the folders that were named, with their masks; by label's folder, then by file.

    The category of a picture is what its label's folder lies in, without splits and `images/`; where good and bad
    pictures never lie in one category, all are of one, whose name is empty.
    Raises DataError for a name that no folder has, for a folder that is called good and bad, and for masks that belong
    to nothing.
    """
    labels = _labels(root, names)
    files: list[Placed] = []
    masks: dict[Path, Path] = {}
    for folder in _tops(root, labels):
        for place, inside, _ in files_below(folder):
            found = [place / name for name in inside if is_picture(name)]
            if area := _nearest(place, labels.masks, folder):
                masks.update(dict.fromkeys(found, area))
            elif label := _nearest(place, labels.good | labels.bad, folder):
                if any(holds_drawings(part) for part in place.relative_to(label).parts):
                    continue
                pictures, beside, suffixed = _parted(found, names)
                masks.update({} if names.masks else dict.fromkeys(suffixed, place))
                files += [_placed(path, label, labels, root, beside.get(path)) for path in pictures]
    unique = sorted(dict.fromkeys(files), key=lambda each: each.order)
    _check_ids(unique, root)
    return paired(root, _in_categories(unique), masks, names.suffixes, strict=bool(names.masks or names.mask_suffix))


def _labels(root: Path, names: FolderNames) -> _Labels:
    every = [place for place, _, _ in files_below(root) if place != root]
    if names.good is GOOD_FOLDERS:
        good = {folder for folder in every if is_good(folder.name)}
    else:
        good = _called(root, every, names.good, "good")
    named = _called(root, every, names.bad, "bad")
    if names.masks:
        masks = _called(root, every, names.masks, "masks")
    else:
        masks = {each for each in every if holds_masks(each.name) or without_ending(each.name)} - good - named
    for one, other, words in ((good, named, "good and bad"), (masks, good | named, "masks and pictures")):
        if both := sorted(one & other):
            raise DataError(f"{both[0]}: said to hold {words}; name it once")
    if not good | named:
        raise DataError(f"{root}: no folder of good pictures{_there(every, root)}; name one: good=NAME")
    return _Labels(*map(frozenset, (good, named or _neighbours(good, masks, root), named, masks)))


def _called(root: Path, every: Sequence[Path], words: Sequence[str], option: str) -> set[Path]:
    """The folders that words name; raises DataError for a word that names none."""
    found: set[Path] = set()
    for word in words:
        place = absolute(root / expanded(word))
        parts = tuple(in_any_case(part) for part in Path(word).parts)
        here = {place} if place.is_dir() else set()
        if parts and not Path(word).is_absolute():
            here |= {
                folder
                for folder in every
                if tuple(in_any_case(part) for part in folder.relative_to(root).parts)[-len(parts) :] == parts
            }
        if not here:
            raise DataError(f"{root}: no folder is called {word} ({option}={word}){_there(every, root)}")
        found |= here
    return found


def _there(every: Sequence[Path], root: Path) -> str:
    held = [folder.relative_to(root).as_posix() for folder in every if pictures_in(folder)]
    return f"; there are {few_of(held, 8)}" if held else "; no folder in it holds pictures"


def _neighbours(good: Collection[Path], masks: Collection[Path], root: Path) -> set[Path]:
    """The folders beside those of good pictures that are neither good nor masks."""
    around = {child for folder in good if folder != root for child in folders_in(folder.parent)}
    return {
        child
        for child in around - {*good} - {*masks}
        if not (holds_masks(child.name) or holds_drawings(child.name) or split_of_word(child.name))
        and not any(folder.is_relative_to(child) for folder in good)
    }


def _tops(root: Path, labels: _Labels) -> list[Path]:
    """The root and the folders elsewhere that were named."""
    every = {folder for folders in (labels.good, labels.bad, labels.masks) for folder in folders}
    return [root, *sorted(folder for folder in every if not folder.is_relative_to(root))]


def _nearest(place: Path, folders: Collection[Path], top: Path) -> Path | None:
    """The folder among some in which a place lies, the deepest of them, not above `top`."""
    within = (each for each in (place, *place.parents) if each == top or each.is_relative_to(top))
    return next((each for each in within if each in folders), None)


def _parted(files: list[Path], names: FolderNames) -> tuple[list[Path], dict[Path, Path], list[Path]]:
    """The pictures among the files of a folder, those of the masks beside them that are told, and masks by suffix."""
    if not names.mask_suffix:
        found = apart(files, strict=False)
        return found.pictures, {} if names.masks else found.masks, []
    stems = {composed(path.stem) for path in files}
    beside = [path for path in files if any(each in stems for each in without_suffix(path, names.suffixes))]
    return [path for path in files if path not in beside], {}, beside


def _placed(path: Path, label: Path, labels: _Labels, root: Path, mask: Path | None) -> Placed:
    """A picture with what its folders say, and the mask beside it of a defective one."""
    inner = label.is_relative_to(root)
    parts = label.relative_to(root).parts[:-1] if inner else ()
    within = path.parent.relative_to(label).parts
    id = (path.relative_to(root) if inner else Path(label.name) / path.relative_to(label)).as_posix()
    splits = [split for part in (*parts, *within) if (split := split_of_word(part))]
    category = "/".join(part for part in parts if not split_of_word(part) and not says_nothing(part))
    beside = None if label in labels.good else mask
    return Placed(path, id, label, category, splits[0] if splits else "test", beside, _defect(label, within, labels))


def _defect(label: Path, within: Sequence[str], labels: _Labels) -> str:
    """GOOD, or the defect: the folder's name; of a named folder without pictures of its own that of one in it."""
    if label in labels.good:
        return GOOD
    kinds = [part for part in within if not (says_nothing(part) or split_of_word(part))]
    return kinds[0] if kinds and label in labels.named and not pictures_in(label) else label.name


def _in_categories(files: Sequence[Placed]) -> list[Placed]:
    """The pictures, all of one category without a name where good and bad ones never share one."""
    good = {each.category for each in files if each.defect == GOOD}
    bad = {each.category for each in files if each.defect != GOOD}
    alone = len(good | bad) > 1 and good and bad and not good & bad
    return [replace(each, category="") for each in files] if alone else list(files)


def _check_ids(files: Sequence[Placed], root: Path) -> None:
    """Raise DataError where folders elsewhere make two pictures one by their names, and where there is no picture."""
    seen: dict[str, Path] = {}
    for each in files:
        if each.id in seen:
            raise DataError(f"{each.image}: {each.id} is {seen[each.id]} too; call one of the folders otherwise")
        seen[each.id] = each.image
    if not files:
        raise DataError(f"{root}: no picture in the folders that hold good and bad ones")
