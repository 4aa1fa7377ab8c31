"""Pictures in folders that are their labels, with masks wherever people put them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stackclip.data.labels import (
    GOOD_FOLDERS,
    composed,
    holds_drawings,
    holds_masks,
    is_good,
    may_be_good,
    says_nothing,
    says_pictures,
    without_ending,
)
from stackclip.data.listing import folders_in, pictures_below, pictures_in
from stackclip.data.look import Look, majority
from stackclip.data.pairing import MaskFolder, apart, check_masks
from stackclip.errors import DataError
from stackclip.types import GOOD

__all__ = ["MASK_TREES", "Held", "Labelled", "labelled_pictures", "masks_by_look"]

MASK_TREES = (
    "ground_truth/DEFECT/STEM_mask.png (or masks/, gt/, labels/; STEM.png), masks/STEM.png, or DEFECT/STEM_mask.png"
)
_HOMES = 32  # folders of masks in one that are looked into


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
        _check_area(area)
    _check_good(folders, good)
    held = {folder: Held.of(folder, strict=not is_good(folder.name, good)) for folder in folders}
    _check_inner(held, good)
    masked = {composed(home.name).casefold() for area in named for home in folders_in(area)}
    sure = {folder for folder in folders if composed(folder.name).casefold() in masked or folder in beside.values()}
    twins = masks_by_look(held, good, sure)
    found: list[Labelled] = []
    for folder in folders:
        if folder in twins:
            continue
        files = held[folder].pictures
        if says_nothing(folder.name) and files:
            raise DataError(f"{folder}: no label; wanted {parent.name}/good/ and {parent.name}/DEFECT/")
        if is_good(folder.name, good) or not localised:
            defect = GOOD if is_good(folder.name, good) else folder.name
            found += [Labelled(image, folder, None, defect) for image in files]
            continue
        own = [each for each, owner in beside.items() if owner == folder]
        masks = _masks(folder, held[folder], [*named, *twins], own)
        found += [Labelled(image, folder, masks[image], folder.name) for image in files]
    if localised:
        _check_claims(found, [*named, *twins, *beside])
    return found


def _check_area(area: Path) -> None:
    """Raise DataError for photographs in a folder of masks, or in one of up to 32 folders in it."""
    check_masks(pictures_in(area))
    homes = folders_in(area)
    for home in homes[:: max(1, -(-len(homes) // _HOMES))]:
        check_masks(list(pictures_below(home)))


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
    if not 1 < len(by_place) <= _HOMES:
        return []
    looks = {place: majority(files) for place, files in by_place.items()}
    below = [place for place in by_place if place != folder and not says_pictures(place.name)]
    return [place for place in below if looks[place] in ("mask", "flat")] if "photograph" in looks.values() else []


def _owner(folder: Path, folders: Sequence[Path]) -> Path | None:
    """The label's folder whose masks a folder holds by its name: `crack` of `crack_mask`."""
    stem, name = without_ending(folder.name), composed(folder.name).casefold()
    for each in folders:
        label = composed(each.name)
        if each != folder and (
            label == stem or (name.startswith(label.casefold()) and holds_masks(name[len(label) :]))
        ):
            return each
    return None


def _check_inner(held: Mapping[Path, Held], good: tuple[str, ...]) -> None:
    """Raise DataError for a picture in the folder of one label in that of another: `good/scratch/`, `scratch/good/`."""
    labels = {composed(folder.name) for folder in held}
    for folder, each in held.items():
        for path in each.pictures:
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


def _masks(folder: Path, held: Held, areas: Sequence[Path], beside: Sequence[Path]) -> dict[Path, Path | None]:
    """The mask of each picture of a defect, from the one place that has them."""
    files, own, label = held.pictures, held.masks, composed(folder.name).casefold()
    homes = [home for area in areas for home in folders_in(area) if composed(home.name).casefold() == label]
    inner = [child for child in folders_in(folder) if holds_masks(child.name) and pictures_in(child)]
    places: dict[str, dict[Path, Path | None]] = {
        str(home): _below(home, folder, files) for home in dict.fromkeys((*homes, *beside, *inner, *held.inner))
    }
    for area in areas:
        flat = _flat(area, files) if pictures_in(area) else {}
        if any(flat.values()):
            places[str(area)] = flat
    if own:
        expected = {image: image.with_name(f"{image.stem}_mask.png") for image in files}
        places[str(folder)] = {image: own.get(image, expected[image]) for image in files}
    there = [
        place for place, masks in places.items() if len(places) > 1 and any(_is_there(each) for each in masks.values())
    ]
    if len(there) > 1:
        raise DataError(
            f"{' and '.join(there)}: both hold masks of {folder}; call the folder of its own "
            f"{folder.name}_mask, or put them in masks/{folder.name}"
        )
    return next((places[place] for place in (*there, *places)), dict.fromkeys(files))


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
