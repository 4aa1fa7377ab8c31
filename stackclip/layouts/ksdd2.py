"""KolektorSDD2 as it is published: each picture beside its mask, black where there is no defect."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from stackclip.data.listing import pictures_in, place_below
from stackclip.data.masks import anomalous_pixels
from stackclip.errors import BadOption, DataError
from stackclip.ops.words import counted
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["Ksdd2"]

_CATEGORY = "production-item"  # its one category, which has no folder of its own
_SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")
_MASK, _COPY = "_GT", "(copy)"
_TESTED_GOOD = 356  # as many as there are defective pictures in both splits


@datasets.register("ksdd2")
class Ksdd2:
    """KolektorSDD2: 3335 pictures of production items, test 894 normal and 110 with a defect (Bozic et al., 2021).

    A picture is anomalous where its mask `_GT` has a pixel above 0. `protocol` names what is tested, as papers part
    ways: `official` is the published split, whose train split has 246 defective pictures; `356` tests all 356 defective
    pictures of both splits and as many good ones of the test split, drawn by `seed`, the numbers that papers on CLIP
    quote (which ones they drew is not published). Files called `(copy)`, which the archive holds by mistake, and its
    `split_weakly_*.pyb`, which are pickles, are not opened.
    """

    published = "ksdd2"
    source = "CC BY-NC-SA 4.0, Kolektor Group and the University of Ljubljana, www.vicos.si/resources/kolektorsdd2"
    folders = ("KolektorSDD2", "kolektor-sdd2")
    tree = """\
ROOT/
  train/NNNNN.png
  train/NNNNN_GT.png
  test/NNNNN.png
  test/NNNNN_GT.png
"""

    def __init__(self, *, protocol: Literal["official", "356"] = "official", seed: int = 0) -> None:
        if seed < 0:
            raise BadOption(f"ksdd2: seed={seed}; wanted 0 or more")
        self.protocol = "" if protocol == "official" else protocol
        self.seed = seed
        said = f"all defective pictures and {_TESTED_GOOD} good ones tested" if self.protocol else "the published split"
        self.title = f"KolektorSDD2 layout ({said})"

    def recognises(self, root: Path) -> bool:
        """Whether a split of `root` has a picture and its mask `_GT`."""
        return any(_pairs(root / split, lacking=False) for split in _SPLITS)

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, train before test, by file name; opens each mask.

        Raises DataError for a split that is not there and for pictures without masks, PictureError for a mask that
        cannot be read.
        """
        if not self.recognises(root):
            return ()
        samples = tuple(sample for split in _SPLITS for sample in _samples(root, split, name))
        return _drawn(samples, self.seed) if self.protocol else samples

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is the mask of a good picture, a stray copy or a list of the archive."""
        in_split = path.parent.name in _SPLITS and path.parent.parent == root
        listed = path.suffix == ".pyb" and path.name.startswith("split_")
        return listed or (in_split and (path.stem.endswith(_MASK) or _COPY in path.stem))


def _pairs(folder: Path, *, lacking: bool) -> list[tuple[Path, Path]]:
    """The pictures of a split with their masks; raises DataError for those that are `lacking` one, if not left out."""
    files = [path for path in pictures_in(folder) if _COPY not in path.stem] if folder.is_dir() else []
    masks = {path.stem.removesuffix(_MASK): path for path in files if path.stem.endswith(_MASK)}
    pictures = [path for path in files if not path.stem.endswith(_MASK)]
    without = [path for path in pictures if path.stem not in masks]
    if lacking and without:
        said = f"{counted(len(without), 'picture')} without a mask, {without[0].name} for one"
        raise DataError(f"{folder}: {said}; wanted {without[0].stem}{_MASK}.png beside it: is it wholly unpacked?")
    return [(path, masks[path.stem]) for path in pictures if path.stem in masks]


def _samples(root: Path, split: Literal["train", "test"], name: str) -> Iterator[Sample]:
    if not (root / split).is_dir():
        raise DataError(f"{root}: no folder {split}/ of KolektorSDD2: is it wholly unpacked?")
    for image, mask in _pairs(root / split, lacking=True):
        defective = bool(anomalous_pixels(mask).any())
        yield Sample(
            id=place_below(image, root),
            dataset=name,
            category=_CATEGORY,
            split=split,
            image=image,
            mask=mask if defective else None,
            label=ANOMALOUS if defective else NORMAL,
            defect="defect" if defective else GOOD,
        )


def _drawn(samples: tuple[Sample, ...], seed: int) -> tuple[Sample, ...]:
    """The samples with all defective ones tested, and good ones of the test split, drawn by the seed; others train."""
    good = [sample.id for sample in samples if sample.label == NORMAL and sample.split == "test"]
    tested = set(random.Random(seed).sample(good, min(_TESTED_GOOD, len(good))))
    drawn = (
        replace(each, split="test" if each.label == ANOMALOUS or each.id in tested else "train") for each in samples
    )
    return tuple(sorted(drawn, key=lambda each: each.split == "test"))
