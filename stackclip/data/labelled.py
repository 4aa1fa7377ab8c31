"""Pictures in folders that are their labels, with masks wherever people put them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackclip.data.labels import (
    GOOD_FOLDERS,
    composed,
    holds_drawings,
    holds_masks,
    is_good,
    may_be_good,
    says_nothing,
    without_ending,
)
from stackclip.data.listing import folders_in, pictures_below, pictures_in
from stackclip.data.pairing import MaskFolder, apart, check_masks, looks_like_masks
from stackclip.errors import DataError
from stackclip.types import GOOD

__all__ = ["MASK_TREES", "Labelled", "labelled_pictures", "two_valued"]

MASK_TREES = (
    "ground_truth/DEFECT/STEM_mask.png (or masks/, gt/, labels/; STEM.png), masks/STEM.png, or DEFECT/STEM_mask.png"
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture, the folder that is its label, its mask (or the path it should have), and `defect`: GOOD or a name."""

    image: Path
    folder: Path
    mask: Path | None
    defect: str


def labelled_pictures(
    parent: Path, areas: Sequence[Path], *, good: tuple[str, ...] = GOOD_FOLDERS, localised: bool = True
) -> list[Labelled]:
    """The pictures in the folders of `parent`, each folder a label; by folder, then by file name.

    `areas` are folders of masks, beside those in `parent` that are called so. Masks are paired by stem: in an area's
    folder of the defect's name or in the area itself, in a folder `DEFECT_mask` beside the defect's, in a folder of
    masks in it, or beside the picture. A folder of two-valued pictures whose stems are those of others is an area too.
    Folders of what was drawn of pictures (`overlays/`) are left out. Without `localised` defects have no masks.
    Raises DataError for pictures in `parent` itself, for a folder that is no label, for one that may be good beside one
    that is, for masks in two places, for one that two pictures claim, for an area of which no mask has a picture, and
    where a name says mask and the pixels say picture, or the other way round.
    """
    if loose := pictures_in(parent):
        raise DataError(
            f"{loose[0]}: beside folders that are labels; move it into one of them: good/, DEFECT/ or masks/"
        )
    around = [folder for folder in folders_in(parent) if not holds_drawings(folder.name)]
    folders = [folder for folder in around if not holds_masks(folder.name)]
    named = [*areas, *(folder for folder in around if holds_masks(folder.name))]
    beside = {folder: owner for folder in folders if (owner := _owner(folder, folders))}
    folders = [folder for folder in folders if folder not in beside]
    for area in (*named, *beside):
        for home in (area, *folders_in(area)):
            check_masks(pictures_in(area) if home == area else list(pictures_below(home)))
    _check_good(folders, good)
    pictures = {folder: _pictures(folder, good) for folder in folders}
    _check_inner(pictures, good)
    twins, orphans = two_valued(pictures, good)
    for folder in orphans:
        raise DataError(
            f"{pictures[folder][0][0]}: a mask by its look, beside photographs, and the name of none of them; "
            f"wanted {MASK_TREES}"
        )
    twins += [folder for folder in folders if not pictures[folder][0] and pictures_in(folder)]  # masks by every name
    found: list[Labelled] = []
    for folder in folders:
        if folder in twins:
            continue
        if says_nothing(folder.name) and pictures[folder][0]:
            raise DataError(f"{folder}: no label; wanted {parent.name}/good/ and {parent.name}/DEFECT/")
        files, own = pictures[folder]
        if is_good(folder.name, good) or not localised:
            defect = GOOD if is_good(folder.name, good) else folder.name
            found += [Labelled(image, folder, None, defect) for image in files]
            continue
        masks = _masks(
            folder, files, own, [*named, *twins], [each for each, owner in beside.items() if owner == folder]
        )
        found += [Labelled(image, folder, masks[image], folder.name) for image in files]
    if localised:
        _check_claims(found, [*named, *twins, *beside])
    return found


def _owner(folder: Path, folders: Sequence[Path]) -> Path | None:
    """The label's folder whose masks a folder holds by its name: `crack` of `crack_mask`."""
    stem = without_ending(folder.name)
    return next((each for each in folders if stem and composed(each.name) == stem), None)


def _pictures(folder: Path, good: tuple[str, ...]) -> tuple[list[Path], dict[Path, Path]]:
    """The pictures of a label's folder and of those below it that hold no masks, and the masks beside them."""
    by_place: dict[Path, list[Path]] = {}
    for path in pictures_below(folder):
        by_place.setdefault(path.parent, []).append(path)
    files: list[Path] = []
    masks: dict[Path, Path] = {}
    for place, same_place in by_place.items():
        if any(holds_masks(part) for part in place.relative_to(folder).parts):
            check_masks(same_place)
            continue
        pictures, own = apart(same_place, strict=not is_good(folder.name, good))
        files += pictures
        masks |= own
    return files, masks


def _check_inner(pictures: dict[Path, tuple[list[Path], dict[Path, Path]]], good: tuple[str, ...]) -> None:
    """Raise DataError for a picture in the folder of one label in that of another: `good/scratch/`, `scratch/good/`."""
    labels = {composed(folder.name) for folder in pictures}
    for folder, (files, _) in pictures.items():
        for path in files:
            for part in path.parent.relative_to(folder).parts:
                if (is_good(part, good) and not is_good(folder.name, good)) or (
                    composed(part) in labels and composed(part) != composed(folder.name)
                ):
                    raise DataError(
                        f"{path}: is it {folder.name} or {part}? a label's folder in another's; move one out"
                    )


def _check_good(folders: Sequence[Path], good: tuple[str, ...]) -> None:
    """Raise DataError for a folder that may be good beside one that is; `0` of several numbers is a defect's."""
    held = next((folder for folder in folders if is_good(folder.name, good)), None)
    numbers = [folder for folder in folders if folder.name.isdecimal()]
    for folder in folders:
        counted = folder in numbers and len(numbers) > 2
        if held is not None and may_be_good(folder.name) and not is_good(folder.name, good) and not counted:
            raise DataError(
                f"{folder}: good pictures or a defect? beside {held.name}/; move them there, or call it by its defect"
            )


def two_valued(
    pictures: dict[Path, tuple[list[Path], dict[Path, Path]]], good: tuple[str, ...]
) -> tuple[list[Path], list[Path]]:
    """The folders whose pictures are masks by what they are, beside others that are photographs.

    First those with the stems of pictures in other folders, or named as the masks of a folder, then those of no
    picture.
    """
    homes: dict[str, list[Path]] = {}
    for files, _ in pictures.values():
        for path in files:
            homes.setdefault(composed(path.stem), []).append(path)
    paired: list[Path] = []
    orphans: list[Path] = []
    for folder, (files, own) in pictures.items():
        if own or not files or is_good(folder.name, good):
            continue
        others = [other for path in files if (other := _other(path, homes))]
        if not looks_like_masks(files, black=len(others) == len(files)):
            continue
        if without_ending(folder.name) or (others and not looks_like_masks(others)):
            paired.append(folder)
        elif not others and _beside_photographs(folder, pictures):
            orphans.append(folder)
    return paired, orphans


def _beside_photographs(folder: Path, pictures: dict[Path, tuple[list[Path], dict[Path, Path]]]) -> bool:
    return any(
        files and not looks_like_masks(files, black=True) for other, (files, _) in pictures.items() if other != folder
    )


def _other(path: Path, homes: dict[str, list[Path]]) -> Path | None:
    """A picture in another folder of which `path` has the stem, or the stem of a mask."""
    stem = composed(path.stem)
    same = [*homes.get(stem, ()), *homes.get(without_ending(stem) or "", ())]
    return next((each for each in same if each.parent != path.parent), None)


def _masks(
    folder: Path, files: list[Path], own: dict[Path, Path], areas: Sequence[Path], beside: Sequence[Path]
) -> dict[Path, Path | None]:
    """The mask of each picture of a defect, from the one place that has them."""
    homes = [home for area in areas for home in folders_in(area) if composed(home.name) == composed(folder.name)]
    inner = [child for child in folders_in(folder) if holds_masks(child.name) and pictures_in(child)]
    places: dict[str, dict[Path, Path | None]] = {
        str(home): _below(home, folder, files) for home in dict.fromkeys((*homes, *beside, *inner))
    }
    for area in areas:
        flat = _flat(area, files) if pictures_in(area) else {}
        if any(flat.values()):
            places[str(area)] = flat
    if own:
        expected = {image: image.with_name(f"{image.stem}_mask.png") for image in files}
        places[str(folder)] = {image: own.get(image, expected[image]) for image in files}
    held = [
        place for place, masks in places.items() if len(places) > 1 and any(_is_there(each) for each in masks.values())
    ]
    if len(held) > 1:
        raise DataError(f"{' and '.join(held)}: both hold masks of {folder}; keep one")
    return next((places[place] for place in (*held, *places)), dict.fromkeys(files))


def _is_there(mask: Path | None) -> bool:
    return mask is not None and mask.exists()


def _below(home: Path, folder: Path, files: list[Path]) -> dict[Path, Path | None]:
    """The masks in a defect's own folder of masks, which may be divided as the pictures' folder is."""
    whole, parts = MaskFolder(home), dict[Path, MaskFolder]()
    found: dict[Path, Path | None] = {}
    for image in files:
        below = home / image.parent.relative_to(folder)
        if below != home and below.is_dir():
            found[image] = parts.setdefault(below, MaskFolder(below)).of(image)
        else:
            found[image] = whole.of(image)
    return found


def _flat(area: Path, files: list[Path]) -> dict[Path, Path | None]:
    """The masks of a defect in the folder that holds those of all; nothing where none of its pictures has one."""
    masks = MaskFolder(area)
    if not any(masks.find(image) for image in files):
        return {}
    return {image: masks.of(image) for image in files}


def _check_claims(found: list[Labelled], areas: Sequence[Path]) -> None:
    """Raises DataError where two pictures claim one mask, and where no mask of an area has a picture."""
    claims: dict[Path, Path] = {}
    for each in found:
        if each.mask is None:
            continue
        if each.mask in claims:
            raise DataError(f"{each.mask}: the mask of {claims[each.mask]} and of {each.image}; wanted {MASK_TREES}")
        claims[each.mask] = each.image
    if all(each.defect == GOOD for each in found):
        return
    stems = {composed(each.image.stem) for each in found}
    labels = {composed(each.folder.name) for each in found}
    for area in areas:
        if any(mask.is_relative_to(area) and _is_there(mask) for mask in claims):
            continue
        orphan = next((path for path in pictures_below(area) if not _may_be_good(path, area, stems, labels)), None)
        if orphan is not None:
            raise DataError(f"{orphan}: none of the masks in {area} has the name of a picture; wanted {MASK_TREES}")


def _may_be_good(mask: Path, area: Path, stems: set[str], labels: set[str]) -> bool:
    """Whether a mask has the name of some picture, and lies in the area itself or in the folder of a label."""
    above = mask.relative_to(area).parts[:-1]
    return _stem(mask) in stems and (not above or composed(above[0]) in labels)


def _stem(mask: Path) -> str:
    return without_ending(mask.stem) or composed(mask.stem)
