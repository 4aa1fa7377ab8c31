"""Pictures in folders that are their labels, with masks wherever people put them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from stackclip.data.listing import folders_in, pictures_below, pictures_in, place_below
from stackclip.data.pairing import MaskFolder, check_masks
from stackclip.errors import DataError
from stackclip.layouts.held import HOMES, Held, masks_by_look
from stackclip.ops.spread import evenly
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample, Split

__all__ = ["MASK_TREES", "Labelled", "labelled_pictures"]

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

    def sample(self, root: Path, *, dataset: str, category: str, split: Split) -> Sample:
        """The picture as a sample of a data set in `root`."""
        return Sample(
            id=place_below(self.image, root),
            dataset=dataset,
            category=category,
            split=split,
            image=self.image,
            mask=self.mask,
            label=NORMAL if self.defect == GOOD else ANOMALOUS,
            defect=self.defect,
        )


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
    _check_loose(parent)
    folders, by_name = _told_apart(parent, areas)
    for area in (*by_name.named, *by_name.beside):
        _check_area(area)
    _check_good(folders, good)
    held = {folder: Held.of(folder, strict=not is_good(folder.name, good)) for folder in folders}
    _check_inner(held, good)
    known = _with_twins(by_name, held, good)
    pictures: list[Labelled] = []
    for folder in folders:
        if folder not in known.twins:
            pictures += _of_label(folder, held[folder], known, good=good, localised=localised)
    if localised:
        _check_claims(pictures, [*known.named, *known.twins, *known.beside])
    return pictures


@dataclass(frozen=True, slots=True)
class _Areas:
    """The folders of masks: `named` so, `beside` a defect's folder (with that), and `twins`, which look like masks.

    `homes` are the folders in them, by the labels whose masks they hold.
    """

    named: Sequence[Path]
    beside: Mapping[Path, Path]
    twins: Sequence[Path] = ()
    homes: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def homes_of(self, folder: Path) -> list[Path]:
        """The folders that hold masks of one defect alone."""
        beside = (each for each, owner in self.beside.items() if owner == folder)
        return [*self.homes.get(_label(folder), ()), *beside]


def _told_apart(parent: Path, areas: Sequence[Path]) -> tuple[list[Path], _Areas]:
    """The folders that are labels, and the folders of masks as far as names tell."""
    around = [folder for folder in folders_in(parent) if not holds_drawings(folder.name)]
    folders = [folder for folder in around if not holds_masks(folder.name)]
    named = [*areas, *(folder for folder in around if holds_masks(folder.name))]
    beside = {folder: owner for folder in folders if (owner := _owner(folder, folders))}
    return [folder for folder in folders if folder not in beside], _Areas(named, beside)


def _with_twins(areas: _Areas, held: Mapping[Path, Held], good: tuple[str, ...]) -> _Areas:
    """The folders of masks by name and by look, with what is in them."""
    homes = _homes(areas.named)
    sure = {folder for folder in held if _label(folder) in homes or folder in areas.beside.values()}
    twins = masks_by_look(held, good, sure)
    for label, more in _homes(twins).items():
        homes.setdefault(label, []).extend(more)
    return replace(areas, twins=twins, homes=homes)


def _of_label(folder: Path, held: Held, areas: _Areas, *, good: tuple[str, ...], localised: bool) -> list[Labelled]:
    """The pictures of one label, with the masks of a defect's."""
    if says_nothing(folder.name) and held.pictures:
        raise DataError(f"{folder}: no label; wanted {folder.parent.name}/good/ and {folder.parent.name}/DEFECT/")
    if is_good(folder.name, good) or not localised:
        defect = GOOD if is_good(folder.name, good) else folder.name
        return [Labelled(image, folder, None, defect) for image in held.pictures]
    masks = _masks(folder, held, [*areas.named, *areas.twins], areas.homes_of(folder))
    return [Labelled(image, folder, masks[image], folder.name) for image in held.pictures]


def _check_loose(parent: Path) -> None:
    """Raise DataError for pictures that are in no label's folder."""
    if loose := pictures_in(parent):
        raise DataError(
            f"{loose[0]}: beside folders that are labels; move it into one of them: good/, DEFECT/ or masks/"
        )


def _check_area(area: Path) -> None:
    """Raise DataError for photographs in a folder of masks, or in one of up to 32 folders in it."""
    check_masks(pictures_in(area))
    for home in evenly(folders_in(area), HOMES):
        check_masks(list(pictures_below(home)))


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
        first: dict[Path, Path] = {}
        for path in each.pictures:
            first.setdefault(path.parent, path)
        for place, path in first.items():
            for part in place.relative_to(folder).parts:
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


def _label(folder: Path) -> str:
    """A folder's name as it is compared: composed, in small letters."""
    return composed(folder.name).casefold()


def _homes(areas: Iterable[Path]) -> dict[str, list[Path]]:
    """The folders in folders of masks, by the labels whose masks they hold."""
    homes: dict[str, list[Path]] = {}
    for home in (home for area in areas for home in folders_in(area)):
        homes.setdefault(_label(home), []).append(home)
    return homes


def _masks(folder: Path, held: Held, areas: Sequence[Path], homes: Sequence[Path]) -> dict[Path, Path | None]:
    """The mask of each picture of a defect, from the one place that has them; `homes` hold those of this defect."""
    files, own = held.pictures, held.masks
    inner = [child for child in folders_in(folder) if holds_masks(child.name) and pictures_in(child)]
    places: dict[str, dict[Path, Path | None]] = {
        str(home): _below(home, folder, files) for home in dict.fromkeys((*homes, *inner, *held.inner))
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
    masks: dict[Path, Path | None] = {}
    for image in files:
        if (place := image.parent) not in parts:
            below = home / place.relative_to(folder)
            parts[place] = MaskFolder(below) if below != home and below.is_dir() else whole
        masks[image] = parts[place].of(image)
    return masks


def _flat(area: Path, files: list[Path]) -> dict[Path, Path | None]:
    """The masks of a defect in the folder that holds those of all; nothing where none of its pictures has one."""
    masks = MaskFolder(area)
    if not any(masks.find(image) for image in files):
        return {}
    return {image: masks.of(image) for image in files}


def _check_claims(pictures: list[Labelled], areas: Sequence[Path]) -> None:
    """Raises DataError where two pictures claim one mask, and where no mask of an area has a picture."""
    claims: dict[Path, Path] = {}
    for each in pictures:
        if each.mask is None:
            continue
        if each.mask in claims:
            raise DataError(f"{each.mask}: the mask of {claims[each.mask]} and of {each.image}; wanted {MASK_TREES}")
        claims[each.mask] = each.image
    if all(each.defect == GOOD for each in pictures):
        return
    stems = {composed(each.image.stem) for each in pictures}
    labels = {composed(each.folder.name) for each in pictures}
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
