"""The layout of MVTec-AD, which most published data sets follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from stackclip.data.census import published_categories
from stackclip.data.defects import DEFECTS_CONFIG, read_kinds
from stackclip.data.labels import holds_masks, without_ending
from stackclip.data.listing import folders_in, pictures_below
from stackclip.data.look import majority
from stackclip.layouts.labelled import labelled_pictures
from stackclip.registry import datasets
from stackclip.types import Sample, Split

__all__ = ["Mvtec", "PublishedLayout", "VisaPrepared", "read_splits", "with_validation"]

_SPLITS: tuple[tuple[Split, tuple[str, ...]], ...] = (
    ("train", ("train", "training")),
    ("test", ("test", "testing")),
)
_VALIDATION: Split = "validation"


@datasets.register("mvtec")
class Mvtec:
    """MVTec-AD: 15 categories, 3629 train pictures, test 467 normal and 1258 anomalous (Bergmann et al., CVPR 2019).

    Serves every folder of that layout. A folder that is one category by itself is read as such. A category that has a
    `defects_config.json`, as those of MVTec-LOCO have, is read with it and with its `validation/`.
    """

    title = "MVTec-AD layout"
    source = "CC BY-NC-SA 4.0, MVTec Software GmbH, www.mvtec.com/company/research/datasets/mvtec-ad"
    size = "one archive, 4.9 GB"
    folders: tuple[str, ...] = ("mvtec_ad", "mvtec_anomaly_detection")
    tree = """\
ROOT/
  CATEGORY/
    train/good/*.png
    test/good/*.png
    test/DEFECT/STEM.png
    ground_truth/DEFECT/STEM_mask.png     (or STEM.png, a folder STEM, masks/STEM.png; none: not localised)
"""

    def recognises(self, root: Path) -> bool:
        """Whether `root` or a folder in it has `train/` or `test/`."""
        return bool(self.categories_in(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then train, validation, test, then defect, then file name; raises DataError."""
        return tuple(
            sample for category in self.categories_in(root) for sample in self.samples_of(category, root, name)
        )

    def samples_of(self, category: Path, root: Path, name: str) -> Iterator[Sample]:
        """The samples of one category, in the order of `read`; raises DataError."""
        config = category / DEFECTS_CONFIG
        if not config.exists():
            yield from read_splits(category, _splits(category), root, name)
            return
        read_kinds(config)
        for sample in read_splits(category, with_validation(category), root, name):
            yield replace(sample, defects=config)

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file says what the defects of a category are."""
        return path.name == DEFECTS_CONFIG and path.parent in self.categories_in(root)

    def categories_in(self, root: Path) -> list[Path]:
        """The folders of the categories: `root` itself where it has `train/` or `test/`, else those in it that do."""
        if _splits(root) and not _holds_categories(root):
            return [root]
        return [folder for folder in folders_in(root) if _splits(folder) and _is_category(folder)]


class PublishedLayout(Mvtec):
    """A published data set of that layout: a folder is recognised by its categories, so that no other passes for it."""

    published: str

    def recognises(self, root: Path) -> bool:
        """Whether `root` has, or is, one of the published categories."""
        known = {category.lower() for category in published_categories(self.published)}
        return any(folder.name.lower() in known for folder in self.categories_in(root))


@datasets.register("visa-prepared")
class VisaPrepared(PublishedLayout):
    """VisA as its authors' script rearranges it into the MVTec-AD layout: 12 categories, `test/bad` the anomalous ones.

    `split_csv` is the list that was rearranged: `1cls`, or a two-class one, whose train split holds anomalous pictures
    with masks of their own. The folder of its name may lie around the categories, as the script leaves it. The raw
    layout is `visa`.
    """

    published = "visa"
    source = "CC BY 4.0, Zou et al., ECCV 2022, github.com/amazon-science/spot-diff"
    folders = ("visa_prepared", "visa_pytorch", "1cls")
    tree = """\
ROOT/                                     (or ROOT/1cls/, ROOT/2cls_fewshot/, ROOT/2cls_highshot/)
  CATEGORY/                               candle, pcb1, pipe_fryum, ...
    train/good/NNNN.JPG                   (and train/bad/ of two classes)
    test/good/NNNN.JPG
    test/bad/NNN.JPG
    ground_truth/bad/NNN.png              (or ground_truth/{train,test}/bad/)
"""

    def __init__(self, *, split_csv: Literal["1cls", "2cls_fewshot", "2cls_highshot"] = "1cls") -> None:
        self.split_csv = split_csv
        self.protocol = "" if split_csv == "1cls" else split_csv
        self.title = f"MVTec-AD layout ({split_csv})"

    def categories_in(self, root: Path) -> list[Path]:
        """The folders of the categories below `root`, or below the folder of the list in it."""
        inner = root / self.split_csv
        return super().categories_in(inner if inner.is_dir() else root)


def _is_category(folder: Path) -> bool:
    """Whether a folder is no folder of masks that is divided by split; one may be called `mask` and be a category."""
    if not holds_masks(folder.name):
        return True
    return majority([path for split in _splits(folder).values() for path in pictures_below(split)]) != "mask"


def _splits(folder: Path) -> dict[Split, Path]:
    """The folders of the splits in a category's folder, train before test; their names count in any case."""
    named = {child.name.lower(): child for child in folders_in(folder)}
    return {
        split: next(named[name] for name in names if name in named) for split, names in _SPLITS if {*names} & {*named}
    }


def with_validation(category: Path) -> dict[Split, Path]:
    """The folders of the splits with that of the pictures which methods calibrate by, between train and test."""
    held = _splits(category)
    found = next((child for child in folders_in(category) if child.name.lower() == _VALIDATION), None)
    if found is not None:
        held[_VALIDATION] = found
    return {split: held[split] for split in get_args(Split) if split in held}


def _holds_categories(root: Path) -> bool:
    """Whether what is called as a split is a category: it has splits that have folders, `test/test/good/` for one."""
    return any(folders_in(inner) for split in _splits(root).values() for inner in _splits(split).values())


def _areas(category: Path, split: str, root: Path) -> list[Path]:
    """The folders of masks of a split: `ground_truth/`, `masks/` ... of the category, or divided by split as VisA's."""
    around = [child for child in folders_in(category) if _is_area(child.name)]
    if root != category:
        named = (
            area / category.name
            for area in folders_in(root)
            if holds_masks(area.name) and not (_splits(area) and _is_category(area))
        )
        around += [area for area in named if area.is_dir()]
    divided = [child for area in around for child in folders_in(area) if child.name.lower() == split]
    if divided or split != "test":
        return divided
    return around


def _is_area(name: str) -> bool:
    return holds_masks(name) or without_ending(name.lower()) == "test"


def read_splits(category: Path, splits: Mapping[Split, Path], root: Path, name: str) -> Iterator[Sample]:
    """The samples of a category in the folders of these splits, in order; raises DataError."""
    for split, folder in splits.items():
        # The masks belong to the test pictures, whose stems a train picture may share.
        areas = _areas(category, split, root)
        for each in labelled_pictures(folder, areas, localised=split == "test" or bool(areas)):
            yield each.sample(root, dataset=name, category=category.name, split=split)
