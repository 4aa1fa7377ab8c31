"""KolektorSDD as it is published, and the protocols in which papers test it."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from stackclip.data.images import read_picture
from stackclip.data.listing import folders_in, pictures_in, place_below
from stackclip.data.masks import anomalous_pixels
from stackclip.errors import BadOption, DataError
from stackclip.layouts.cuts import cut_once, mask_of_size, save_crop
from stackclip.ops.files import file_hash
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["CATEGORY", "Ksdd"]

CATEGORY = "electrical-commutators"  # its one category, which has no folder of its own, as AnomalyCLIP calls it
_ITEM = re.compile(r"kos\d+")
_CROPS = 3
_ALL_TESTED = ("whole", "crops")
_SDD_GOOD = 181  # of AnomalyCLIP's table of data sets
_SAID = {
    "whole": "all tested",
    "80-20": "the last fifth of the commutators tested",
    "crops": "all tested",
    "sdd": f"{_SDD_GOOD} good ones and all cracked ones tested",
}


@datasets.register("ksdd")
class Ksdd:
    """KolektorSDD, raw: 399 pictures of 50 commutators, 52 of them with a crack (Tabernik et al., JIM 2019).

    A picture is anomalous where its label has a pixel above 0. Papers part ways in what they test, so the `protocol` is
    named: `whole`, every picture; `80-20`, the last fifth of the commutators, the others train, cracked ones too;
    `crops`, three crops of each picture, cut at a third and two thirds of its height, every one tested; `sdd`, the
    numbers of AnomalyCLIP's SDD, all 74 cracked crops and 181 others drawn by `seed`, the rest of the good crops train
    (which ones it drew is not published). `train_items` makes the first so many commutators of `whole` or `crops` the
    train split instead.
    """

    published = "ksdd"
    source = "CC BY-NC-SA 4.0, Kolektor Group and the University of Ljubljana, www.vicos.si/resources/kolektorsdd"
    folders = ("KolektorSDD", "sdd")
    tree = """\
ROOT/
  kos01/Part0.jpg
  kos01/Part0_label.bmp
  kos01/Part1.jpg
"""

    def __init__(
        self,
        *,
        protocol: Literal["whole", "80-20", "crops", "sdd"] = "whole",
        train_items: int = 0,
        seed: int = 0,
    ) -> None:
        if train_items < 0:
            raise BadOption(f"ksdd: train_items={train_items}; wanted 0 or more commutators")
        if train_items and protocol not in _ALL_TESTED:
            raise BadOption(
                f"ksdd: train_items={train_items} is for protocol={' or '.join(_ALL_TESTED)}, not {protocol}"
            )
        if seed < 0:
            raise BadOption(f"ksdd: seed={seed}; wanted 0 or more")
        self.cropped = protocol in ("crops", "sdd")
        self.protocol = f"{protocol}-{train_items}" if train_items else "" if protocol == "whole" else protocol
        self._split = protocol
        self.train_items = train_items
        self.seed = seed
        pictures = "three crops a picture" if self.cropped else "whole pictures"
        tested = f"the first {train_items} commutators train" if train_items else _SAID[protocol]
        self.title = f"raw KolektorSDD layout ({pictures}, {tested})"

    def recognises(self, root: Path) -> bool:
        """Whether `root` has a folder `kosNN` with pictures in it."""
        return any(pictures_in(item) for item in _items(root))

    def prepare(self, root: Path, folder: Path) -> Path:
        """`root`, or where the protocol wants crops their root below `folder`, written unless they are there."""
        return _cropped(root, folder) if self.cropped else root

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by commutator and part; opens each label.

        Raises DataError for a picture without its label, PictureError for a label that cannot be read.
        """
        items = _items(root)
        first = len(items) * 4 // 5 if self._split == "80-20" else self.train_items
        if first >= len(items) > 0:
            raise DataError(f"{root}: {len(items)} commutators; train_items={first} leaves none to test")
        train = set(items[:first])
        samples = tuple(
            _sample(image, label, root, name, in_train=item in train)
            for item in items
            for image, label in _labelled_pictures(item)
        )
        return _drawn(samples, self.seed) if self._split == "sdd" else samples

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is the label of a picture without a crack."""
        return path.stem.endswith("_label") and path.parent.parent == root


def _items(root: Path) -> list[Path]:
    return [folder for folder in folders_in(root) if _ITEM.fullmatch(folder.name)]


def _labelled_pictures(item: Path) -> list[tuple[Path, Path]]:
    files = pictures_in(item)
    labels = {path.stem.removesuffix("_label"): path for path in files if path.stem.endswith("_label")}
    pictures = [path for path in files if not path.stem.endswith("_label")]
    for path in pictures:
        if path.stem not in labels:
            raise DataError(f"{path}: no label; expected {path.with_name(f'{path.stem}_label.bmp')}")
    return [(path, labels[path.stem]) for path in pictures]


def _sample(image: Path, label: Path, root: Path, name: str, *, in_train: bool) -> Sample:
    cracked = bool(anomalous_pixels(label).any())
    return Sample(
        id=place_below(image, root),
        dataset=name,
        category=CATEGORY,
        split="train" if in_train else "test",
        image=image,
        mask=label if cracked else None,
        label=ANOMALOUS if cracked else NORMAL,
        defect="crack" if cracked else GOOD,
    )


def _drawn(samples: tuple[Sample, ...], seed: int) -> tuple[Sample, ...]:
    """The samples with all but `_SDD_GOOD` of the good ones, drawn by the seed, in the train split."""
    good = [sample.id for sample in samples if sample.label == NORMAL]
    tested = set(random.Random(seed).sample(good, min(_SDD_GOOD, len(good))))
    return tuple(
        sample if sample.label == ANOMALOUS or sample.id in tested else replace(sample, split="train")
        for sample in samples
    )


def _cropped(root: Path, folder: Path) -> Path:
    """The root of the crops of all pictures below `root`, in the same layout: `kos01/Part0-1.png` of `kos01/Part0.jpg`.

    The name of the folder holds a hash of the names and contents of the files that were cut.
    """
    pairs = [(item.name, *pair) for item in _items(root) for pair in _labelled_pictures(item)]
    if not pairs:
        return root
    facts = {f"{item}/{path.name}": file_hash(path) for item, *pair in pairs for path in pair}

    def cut(draft: Path) -> None:
        for item, image, label in pairs:
            (draft / item).mkdir(exist_ok=True)
            _cut(image, label, draft / item)

    return cut_once(folder, "ksdd-crops", facts, cut, what=f"ksdd: cutting {len(pairs)} pictures in three")


def _cut(image: Path, label: Path, folder: Path) -> None:
    """Write the crops of a picture and of its label, as PNG; raises PictureError where their sizes differ."""
    picture = read_picture(image)
    cracked = mask_of_size(label, image, picture)
    edges = [picture.height * number // _CROPS for number in range(_CROPS + 1)]
    for number, (top, bottom) in enumerate(pairwise(edges)):
        box = (0, top, picture.width, bottom)
        for drawn, ending in ((picture, ""), (cracked, "_label")):
            save_crop(drawn, box, folder / f"{image.stem}-{number}{ending}.png")
