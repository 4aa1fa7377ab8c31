"""KolektorSDD as it is published."""

from __future__ import annotations

import re
from pathlib import Path

from stackclip.data.listing import folders_in, pictures_in
from stackclip.data.masks import anomalous_pixels
from stackclip.errors import BadOption, DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["CATEGORY", "Ksdd"]

CATEGORY = "electrical-commutators"  # its one category, which has no folder of its own, as AnomalyCLIP calls it
_ITEM = re.compile(r"kos\d+")


@datasets.register("ksdd")
class Ksdd:
    """KolektorSDD, raw: 399 pictures of 50 commutators, 52 of them with a crack (Tabernik et al., JIM 2019).

    A picture is anomalous where its label has a pixel above 0. Papers part ways in their protocols (three vertical
    crops, 80/20, 181/74); this one takes pictures whole and tests every one of them. `train_items` makes the first so
    many commutators, with good and cracked pictures alike, the train split.
    """

    source = "CC BY-NC-SA 4.0, Kolektor Group and the University of Ljubljana, www.vicos.si/resources/kolektorsdd"
    folders = ("KolektorSDD",)
    tree = """\
ROOT/
  kos01/Part0.jpg
  kos01/Part0_label.bmp
  kos01/Part1.jpg
"""

    def __init__(self, *, train_items: int = 0) -> None:
        if train_items < 0:
            raise BadOption(f"ksdd: train_items={train_items}; wanted 0 or more commutators")
        self.train_items = train_items
        tested = f"the first {train_items} commutators train" if train_items else "all tested"
        self.title = f"raw KolektorSDD layout (whole pictures, {tested})"

    def recognises(self, root: Path) -> bool:
        """Whether `root` has a folder `kosNN` with pictures in it."""
        return any(pictures_in(item) for item in _items(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by commutator and part; opens each label.

        Raises DataError for a picture without its label, PictureError for a label that cannot be read.
        """
        items = _items(root)
        if self.train_items and self.train_items >= len(items):
            raise DataError(f"{root}: {len(items)} commutators; train_items={self.train_items} leaves none to test")
        train = set(items[: self.train_items])
        return tuple(
            _sample(image, label, root, name, in_train=item in train)
            for item in items
            for image, label in _labelled_pictures(item)
        )


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
        id=image.relative_to(root).as_posix(),
        dataset=name,
        category=CATEGORY,
        split="train" if in_train else "test",
        image=image,
        mask=label if cracked else None,
        label=ANOMALOUS if cracked else NORMAL,
        defect="crack" if cracked else GOOD,
    )
