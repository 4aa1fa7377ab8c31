"""The registered data set `synthetic`: drawn products with painted defects, written once in the layout of MVTec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import BadOption
from stackclip.layouts.drawn import check_ranges, seed_of, write_picture
from stackclip.ops.files import written_once
from stackclip.registry import datasets
from stackclip.synthetic.parts import PARTS, PartName, categories_of, kinds_of, spread, subtlety_of
from stackclip.synthetic.scene import Pair, draw, draw_pair
from stackclip.types import GOOD, Sample

__all__ = ["Synthetic"]

_VERSION = 1
"""Rises with every change of what is drawn, so that older folders are not taken for newer ones."""


@datasets.register("synthetic")
class Synthetic:
    """Drawn products (14 patterns on 16 shapes) with 12 kinds of painted defects; needs no download.

    `part` says which: `training`, or what training never shows: `combinations` of pattern and shape, `shapes` (gear,
    cable), kinds of `defects` (hole, cut; on the categories of `combinations`), or `novel`: the categories of
    `combinations` and `shapes`, with every kind of defect, often small and faint. `categories` are taken, spread over
    patterns and shapes, with `train_good` good pictures each to train with and `per_category` to test with, half
    of them good. With `paired` every defective picture shows one of the good products, otherwise one of its own. All
    are `size` pixels high and wide.

    Raises BadOption for numbers out of range.
    """

    title = "generated pictures in MVTec-AD layout"
    tree = """\
ROOT/                               made by the generator
  woven-bottle/                     PATTERN-SHAPE
    train/good/000.png
    test/good/000.png
    test/scratch/000.png            a folder for each kind of defect
    ground_truth/scratch/000_mask.png
"""

    def __init__(
        self,
        *,
        part: PartName = "training",
        size: int = 112,
        categories: int = 12,
        per_category: int = 20,
        train_good: int = 10,
        paired: bool = False,
        seed: int = 0,
    ) -> None:
        if part not in PARTS:
            raise BadOption(f"synthetic: part={part!r} is none of {', '.join(PARTS)}")
        check_ranges(
            f"synthetic[part={part}]",
            size=(size, 32, 2048),
            categories=(categories, 1, len(categories_of(part))),
            per_category=(per_category, 2, 1000),
            train_good=(train_good, 0, 1000),
            seed=(seed, 0, 2**63 - 1),
        )
        self.name = f"synthetic-{part}"
        self.part = part
        self.size = size
        self.categories = spread(part, categories)
        self.per_category = per_category
        self.train_good = train_good
        self.paired = paired
        self.seed = seed

    @property
    def folder_name(self) -> str:
        """All options and the generator's version, as the name of a folder."""
        twins = "-paired" if self.paired else ""
        counts = f"{len(self.categories)}x{self.per_category}+{self.train_good}"
        return f"synthetic-{self.part}-{self.size}px-{counts}{twins}-seed{self.seed}-v{_VERSION}"

    def generate(self, folder: Path) -> Path:
        """Write the data set below `folder`, unless it is there; return its root."""
        return written_once(folder / self.folder_name, self._write)

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """The samples of a generated folder, in the order of the MVTec layout."""
        samples: tuple[Sample, ...] = datasets.create("mvtec").read(root, name)
        return samples

    def _write(self, draft: Path) -> None:
        for number, category in enumerate(self.categories):
            self._write_category(draft / category, category, number)

    def _write_category(self, folder: Path, category: str, number: int) -> None:
        kinds = kinds_of(self.part)
        defective = self.per_category - self.per_category // 2
        for index in range(self.train_good):
            write_picture(folder / "train" / GOOD, f"{index:03}.png", self._good(category, "train", index))
        for index in range(self.per_category // 2):
            write_picture(folder / "test" / GOOD, f"{index:03}.png", self._good(category, GOOD, index))
        for turn in range(defective):
            # Categories begin at different kinds, so that few pictures still show all kinds.
            kind, index = kinds[(turn + number * defective) % len(kinds)], turn // len(kinds)
            role, instance = (GOOD, turn % max(1, self.per_category // 2)) if self.paired else ("defective", turn)
            pair = self._pair(category, kind, role, instance)
            write_picture(folder / "test" / kind, f"{index:03}.png", pair.defective)
            mask = pair.mask.astype(np.uint8) * np.uint8(255)
            write_picture(folder / "ground_truth" / kind, f"{index:03}_mask.png", mask)

    def _good(self, category: str, role: str, index: int) -> NDArray[np.uint8]:
        """The good one of a pair, without its defective twin."""
        pattern, _, shape = category.partition("-")
        return draw(pattern, shape, seed=seed_of(self.seed, category, role, index), size=self.size)

    def _pair(self, category: str, kind: str, role: str, index: int) -> Pair:
        seed = seed_of(self.seed, category, role, index)
        return draw_pair(category, kind, seed=seed, size=self.size, subtlety=subtlety_of(self.part, seed))
