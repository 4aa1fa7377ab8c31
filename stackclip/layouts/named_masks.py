"""The masks of pictures whose folders were named: by stem and by the folders in which both lie, never by position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stackclip.data.labels import composed, holds_masks, says_nothing, without_ending
from stackclip.data.pairing import check_masks
from stackclip.errors import DataError
from stackclip.layouts.splits import split_of_word
from stackclip.ops.words import counted
from stackclip.types import GOOD, Split

__all__ = ["Placed", "in_any_case", "paired", "without_suffix"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture, its id, the folder that is its label, and what the folders say of it.

    `mask` is at first one beside it that is told, and may lie where nothing is: one that lacks.
    """

    image: Path
    id: str
    folder: Path
    category: str
    split: Split
    mask: Path | None
    defect: str

    @property
    def order(self) -> tuple[str, int, str, str]:
        """By category, then train, validation, test, then defect, then id."""
        return self.category, ("train", "validation", "test").index(self.split), self.defect, self.id


def without_suffix(path: Path, suffixes: Sequence[str]) -> Iterator[str]:
    """The stems of the pictures whose mask a file is by these suffixes; without any, by the usual ones or none."""
    stem = composed(path.stem)
    if not suffixes:
        yield from {stem, without_ending(stem) or stem}
    for suffix in suffixes:
        ending = composed(suffix)
        if len(stem) > len(ending) and stem.casefold().endswith(ending.casefold()):
            yield stem[: len(stem) - len(ending)]


def paired(
    root: Path, pictures: Sequence[Placed], masks: Mapping[Path, Path], suffixes: Sequence[str], *, strict: bool
) -> list[Placed]:
    """The pictures with their masks; of defects whose folder has masks, those that lack stand at their place.

    `masks` are files by the folder of masks in which they lie. A mask is a picture's that has its stem if all folders
    around the mask, but those that say nothing of the picture, are around the picture too; of several, the nearest;
    else if no other mask and no other picture has the stem.
    Raises DataError for two masks as near, for a mask of two pictures, for photographs that would be masks, and if
    `strict` where no mask has a picture.
    """
    bad = [each for each in pictures if each.defect != GOOD]
    by_stem: dict[str, list[Path]] = {}
    for mask in masks:
        for stem in without_suffix(mask, suffixes):
            by_stem.setdefault(stem, []).append(mask)
    places = _Places.of(root, masks, pictures)
    near = {each: _near(each, by_stem, places) for each in bad}
    found = {each: mask for each, mask in near.items() if mask}
    found |= _alone([each for each in bad if each not in found], by_stem, {*found.values()}, places)
    _check_claims(found)
    check_masks(list(found.values()))
    if strict and bad and not found and not any(each.mask for each in bad):
        raise _nothing_paired(root, bad, list(masks), suffixes)
    return [replace(each, mask=found.get(each) or each.mask or _expected(each, found)) for each in pictures]


@dataclass(frozen=True, slots=True)
class _Places:
    """The folders around each mask, those of `labels` and categories among them, in small letters."""

    around: Mapping[Path, frozenset[str]]
    labels: frozenset[str]

    @classmethod
    def of(cls, root: Path, masks: Mapping[Path, Path], pictures: Sequence[Placed]) -> _Places:
        labels = frozenset(
            in_any_case(part)
            for each in pictures
            for part in (each.defect, each.folder.name, *each.category.split("/"))
        )
        return cls({mask: frozenset(_around(mask, area, root, labels)) for mask, area in masks.items()}, labels)


def _around(mask: Path, area: Path, root: Path, labels: Collection[str]) -> Iterator[str]:
    """What the folders of a mask say of its picture; `crack_mask/` is said to be of `crack` where that is a label."""
    above = area.parent.relative_to(root).parts if area != root and area.is_relative_to(root) else ()
    owner = in_any_case(area.name if in_any_case(area.name) in labels else without_ending(area.name) or "")
    if owner in labels:
        yield owner
    for part in (*above, *mask.parent.relative_to(area).parts):
        if not (says_nothing(part) or holds_masks(part) or split_of_word(part)):
            yield in_any_case(part)


def _near(each: Placed, by_stem: Mapping[str, list[Path]], places: _Places) -> Path | None:
    """The mask of a picture's stem whose folders are around the picture; the one with the most of them."""
    own = _own(each)
    fitting = [mask for mask in by_stem.get(composed(each.image.stem), ()) if places.around[mask] <= own]
    fitting.sort(key=lambda mask: len(places.around[mask]), reverse=True)
    if len(fitting) > 1 and len(places.around[fitting[0]]) == len(places.around[fitting[1]]):
        raise DataError(f"{fitting[1]}: a mask of {each.image}, as {fitting[0]} is; name one folder: masks=NAME")
    return fitting[0] if fitting else None


def _own(each: Placed) -> frozenset[str]:
    """What the folders around a picture are called."""
    parts = (*each.folder.parts[-1:], each.defect, *each.category.split("/"), *Path(each.id).parts[:-1])
    return frozenset(in_any_case(part) for part in parts)


def _alone(
    left: Sequence[Placed], by_stem: Mapping[str, list[Path]], taken: Collection[Path], places: _Places
) -> dict[Placed, Path]:
    """The masks that nothing but their stem ties to a picture, where neither has a rival and no folder objects."""
    counts = Counter(composed(each.image.stem) for each in left)
    found = {}
    for each in left:
        rest = [mask for mask in by_stem.get(composed(each.image.stem), ()) if mask not in taken]
        if counts[composed(each.image.stem)] == len(rest) == 1 and not places.around[rest[0]] & places.labels - _own(
            each
        ):
            found[each] = rest[0]
    return found


def _check_claims(found: Mapping[Placed, Path]) -> None:
    """Raise DataError where two pictures have one mask."""
    claims: dict[Path, Placed] = {}
    for each, mask in found.items():
        if mask in claims:
            raise DataError(
                f"{mask}: the mask of {claims[mask].image} and of {each.image}; give each a folder: masks/DEFECT/"
            )
        claims[mask] = each


def _expected(each: Placed, found: Mapping[Placed, Path]) -> Path | None:
    """Where the mask of a defective picture should be, if others of its label have one; None where none has."""
    if each.defect == GOOD:
        return None
    other = next((key for key in found if (key.folder, key.defect) == (each.folder, each.defect)), None)
    if other is None:
        return None
    ending = composed(found[other].stem).removeprefix(composed(other.image.stem))
    return found[other].with_name(f"{each.image.stem}{ending}.png")


def _nothing_paired(root: Path, bad: Sequence[Placed], masks: Sequence[Path], suffixes: Sequence[str]) -> DataError:
    """What was looked for, and the suffix that would do, as far as the names tell."""
    stems = {composed(each.image.stem) for each in bad}
    endings = Counter(
        stem[length:]
        for stem in (composed(mask.stem) for mask in masks or [each.image for each in bad])
        for length in range(1, len(stem) + bool(masks))
        if stem[:length] in stems
    )
    near = f"; wanted mask_suffix={endings.most_common(1)[0][0] or 'none at all'}?" if endings else ""
    if not masks:
        behind = f"called STEM{suffixes[0]}" if suffixes else "in the folders that were named"
        return DataError(f"{root}: no mask {behind} for {len(bad)} defective pictures ({bad[0].image.name}){near}")
    return DataError(
        f"{masks[0]}: none of {counted(len(masks), 'mask')} has the stem of a defective picture "
        f"({bad[0].image.name}){f' and {suffixes[0]} behind it' if suffixes else ''}{near}"
    )


def in_any_case(part: str) -> str:
    """A folder's name in the form in which names are compared."""
    return composed(part).casefold()
