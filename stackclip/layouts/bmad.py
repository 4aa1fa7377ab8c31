"""BMAD's six medical sets in the layouts that go round, told by the parts of each path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

from stackclip.data.labels import composed
from stackclip.data.listing import folders_in, pictures_below, place_below
from stackclip.data.pairing import check_masks
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample, Split

__all__ = ["Bmad"]

_SPLITS: dict[str, Split] = {"train": "train", "valid": "validation", "val": "validation", "test": "test"}
_LABELS = {"good": NORMAL, "ungood": ANOMALOUS}
_MASKS = ("label", "anomaly_mask", "train_label", "val_label", "valid_label", "test_label")
_PICTURES = "img"
_NAMES = {
    alias: name
    for name, aliases in {
        "Brain": ("brain", "brats2021_slice"),
        "Liver": ("liver", "hist_diy"),
        "Retina_RESC": ("retina_resc", "resc"),
        "Retina_OCT2017": ("retina_oct2017", "oct2017"),
        "Chest": ("chest", "chest-rsna", "rsna"),
        "Histopathology": ("histopathology", "camelyon16", "camelyon16_256"),
    }.items()
    for alias in aliases
}
_DEPTH = 3  # how far a set's folder lies below the root


class _Place(NamedTuple):
    split: Split
    label: int
    is_mask: bool


@datasets.register("bmad")
class Bmad:
    """BMAD: 6 medical sets, test 4537 normal and 22635 anomalous pictures (Bao et al., CVPR workshops 2024).

    Parts of a path tell, in any case and order: the split is `train`, `valid` or `test`, the label `good` or `Ungood`,
    a mask is below `label`, `anomaly_mask` or `SPLIT_label` and has its picture's stem. The good pictures of the
    validation split are those that methods calibrate by. A set that has no masks at all is not localised.
    """

    published = "bmad"
    title = "BMAD layout"
    source = "see the sources' own terms, Bao et al., github.com/DorisBao/BMAD"
    folders = ()
    tree = """\
ROOT/
  SET/                                    Brain, Liver, Retina_RESC, ...
    train/good/img/*.png
    test/{good,Ungood}/img/*.png
    test/Ungood/label/*.png               (or anomaly_mask/; test/{img,label}/Ungood/; Test/{test,test_label}/Ungood/)
"""

    def recognises(self, root: Path) -> bool:
        """Whether a test split in `root`, or up to three folders below it, has `good/img/` or such an `Ungood/`."""
        return bool(_sets(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by set, then train, validation, test, then file name; raises DataError for a mask too many."""
        return tuple(sample for folder in _sets(root) for sample in _samples(folder, root, name))

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file that is no sample's is the mask of a good picture, which some sets have."""
        place = _place(path.relative_to(root))
        return place is not None and place.is_mask and place.label == NORMAL


def _sets(root: Path, depth: int = _DEPTH) -> list[Path]:
    if _is_set(root):
        return [root]
    return [found for folder in folders_in(root) if depth for found in _sets(folder, depth - 1)]


def _is_set(folder: Path) -> bool:
    for split in folders_in(folder):
        if _SPLITS.get(split.name.lower()) != "test":
            continue
        inner = {part.name.lower(): part for part in folders_in(split)}
        below = {child.name.lower() for part in inner.values() for child in folders_in(part)}
        of_good = {child.name.lower() for child in folders_in(inner["good"])} if "good" in inner else set()
        marked = bool({_PICTURES, *_MASKS} & {*inner, *below}) or _category(folder) in _NAMES.values()
        if _PICTURES in of_good or ("ungood" in {*inner, *below} and marked):
            return True
    return False


def _place(below: Path) -> _Place | None:
    """What the folders of a path say; None where they name no split or no label."""
    parts = [part.lower() for part in below.parts[:-1]]
    split = next((_SPLITS[part] for part in parts if part in _SPLITS), None)
    label = next((_LABELS[part] for part in parts if part in _LABELS), None)
    if split is None or label is None:
        return None
    return _Place(split, label, any(part in _MASKS for part in parts))


def _samples(folder: Path, root: Path, name: str) -> Iterator[Sample]:
    places = {path: place for path in pictures_below(folder) if (place := _place(path.relative_to(folder)))}
    masks: dict[tuple[Split, str], Path] = {}
    for path, place in places.items():
        if place.is_mask and place.label == ANOMALOUS and place.split != "train":
            key = (place.split, composed(path.stem))
            if key in masks:
                raise DataError(f"{path}: a second mask of {path.stem}, beside {masks[key]}")
            masks[key] = path
    check_masks(list(masks.values()))
    _check_folders(folder, [path for path, place in places.items() if place.split != "train"])
    for split in get_args(Split):
        for path, place in places.items():
            if place.split != split or place.is_mask:
                continue
            localised = bool(masks) and split != "train" and place.label == ANOMALOUS
            expected = path.parent / "label" / f"{path.stem}.png"
            yield Sample(
                id=place_below(path, root),
                dataset=name,
                category=_category(folder),
                split=split,
                image=path,
                mask=masks.get((split, composed(path.stem)), expected) if localised else None,
                label=place.label,
                defect=GOOD if place.label == NORMAL else "anomaly",
            )


def _check_folders(folder: Path, paths: Iterable[Path]) -> None:
    """Raise DataError for a picture in a folder that none of the layouts has, which may hold masks."""
    known = {*_SPLITS, *_LABELS, *_MASKS, _PICTURES}
    for path in paths:
        for part in path.relative_to(folder).parts[:-1]:
            if part.lower() not in known:
                raise DataError(f"{path}: {part}/ is no folder of this layout; wanted {_PICTURES}/ or {_MASKS[0]}/")


def _category(folder: Path) -> str:
    """The set's name, however its folder or the inner one of its archive is called: `Brain_AD`, `BraTS2021_slice`."""
    return _NAMES.get(folder.name.lower().removesuffix("_ad"), folder.name)
