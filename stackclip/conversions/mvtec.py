"""The layout of MVTec-AD, which most tools of the field read."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from stackclip.conversions.files import Placer, folder_names, picture_places
from stackclip.data import Dataset
from stackclip.data.defects import DEFECTS_CONFIG
from stackclip.data.labels import (
    holds_drawings,
    holds_masks,
    is_good,
    may_be_good,
    says_nothing,
    without_ending,
)
from stackclip.data.masks import mask_files
from stackclip.ops.words import counted
from stackclip.types import GOOD, Sample

__all__ = ["write_mvtec"]


def write_mvtec(dataset: Dataset, placing: Placer) -> list[str]:
    """`CAT/{train,test}/{good,DEFECT}` and `CAT/ground_truth/DEFECT/STEM_mask.png`.

    Masks stand below `ground_truth/{train,test}/` where training pictures have some. Where each defect has a mask of
    its own (MVTec-LOCO) these files are kept, with the file that says what they are.
    """
    categories = folder_names(dataset.categories)
    defects = folder_names((s.defect for s in dataset if s.defect != GOOD), _means_something) | {GOOD: GOOD}
    divided = any(sample.split != "test" and sample.mask is not None for sample in dataset)

    def folder_of(sample: Sample) -> str:
        return f"{categories[sample.category]}/{sample.split}/{defects[sample.defect]}"

    for sample, place in picture_places(dataset, folder_of).items():
        if placing.picture(sample, place):
            area = f"{categories[sample.category]}/ground_truth/{f'{sample.split}/' if divided else ''}"
            _write_mask(sample, f"{area}{defects[sample.defect]}/{PurePosixPath(place).stem}", placing)
    configs = {sample.category: sample.defects for sample in dataset if sample.defects is not None}
    for category, config in configs.items():
        if config.is_file():
            placing.file(config, f"{categories[category]}/{DEFECTS_CONFIG}")
    return [*_renamed(categories, "category"), *_renamed(defects, "defect"), *_unread(dataset)]


def _write_mask(sample: Sample, place: str, placing: Placer) -> None:
    if sample.defects is None or sample.mask is None or not sample.mask.exists():
        placing.mask(sample, f"{place}_mask.png")
    elif placing.pixels(sample) is not None:
        for number, path in enumerate(mask_files(sample, sample.mask)):
            placing.file(path, f"{place}/{number:03}{path.suffix}")
        placing.masks += 1


def _means_something(name: str) -> bool:
    """Whether the folder of a defect of that name would be taken for something else, or be asked about."""
    known = is_good(name) or may_be_good(name) or holds_masks(name) or holds_drawings(name) or says_nothing(name)
    return known or without_ending(name) is not None


def _renamed(names: dict[str, str], noun: str) -> list[str]:
    return [f"{noun} {name!r} is called {folder} there" for name, folder in names.items() if name != folder]


def _unread(dataset: Dataset) -> list[str]:
    """What lies in `validation/` of categories in which nobody looks for it."""
    counts = Counter(sample.defects is None for sample in dataset if sample.split == "validation")
    found = counted(counts[True], "picture")
    return [f"{found} in validation/, which the layout has only beside {DEFECTS_CONFIG}"] if counts[True] else []
