"""Pictures that towers are compared on: generated pairs of a good product and its defective twin, and real ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data import open_dataset, read_mask, read_picture
from stackclip.errors import UsageError
from stackclip.synthetic import Pair, PartName, categories_of, draw_pair, kinds_of, shapes_of, spread
from stackclip.synthetic.worn import Photograph, draw_worn
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["PictureSet", "draw_set", "photograph_paths", "read_photographs", "read_set", "wear_set"]


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Pictures as a tower reads them, their masks and names; in a paired set the twin of each good one follows it."""

    name: str
    samples: tuple[Sample, ...]
    pictures: tuple[Image.Image, ...]
    masks: tuple[NDArray[np.bool_], ...]
    paired: bool

    @property
    def labels(self) -> NDArray[np.int64]:
        """NORMAL or ANOMALOUS, (N,)."""
        return np.array([sample.label for sample in self.samples])

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that occur, in order."""
        return tuple(dict.fromkeys(sample.category for sample in self.samples))


def draw_set(part: PartName, pairs: int, *, side: int, seed: int, categories: int | None = None) -> PictureSet:
    """`pairs` generated pairs of a part, its categories (or so many of them) and its kinds of defects by turns."""
    names = categories_of(part) if categories is None else spread(part, categories)
    kinds = kinds_of(part)

    def draw(index: int) -> tuple[str, Pair]:
        category, turn = names[index % len(names)], index + index // len(names)
        kind = kinds[turn % len(kinds)]
        return category, draw_pair(category, kind, seed=(seed + 1) * 1_000_000 + index, size=side)

    return _paired(part, map(draw, range(pairs)))


def photograph_paths(folder: Path) -> list[Path]:
    """The PNG of a folder, by name; raises UsageError where there is none."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise UsageError(f"no PNG in {folder}: give a folder that holds photographs as PNG")
    return paths


def read_photographs(folder: Path) -> list[Photograph]:
    """The PNG of a folder (H, W, 3), by name; raises UsageError where there is none, PictureError for a damaged one."""
    return [np.asarray(read_picture(path)) for path in photograph_paths(folder)]


def wear_set(photographs: Sequence[Photograph], pairs: int, *, side: int, seed: int) -> PictureSet:
    """`pairs` of products that wear photographs (`stackclip.synthetic.worn`), named by their shapes."""
    shapes, kinds = shapes_of("training"), kinds_of("training")

    def draw(index: int) -> tuple[str, Pair]:
        draws = np.random.default_rng((seed, index))
        pair = draw_worn(photographs, draws, shapes=shapes, kinds=kinds, size=side)
        return pair.shape, pair

    return _paired("photographs", map(draw, range(pairs)))


def _paired(name: str, pairs: Iterable[tuple[str, Pair]]) -> PictureSet:
    samples: list[Sample] = []
    pictures: list[Image.Image] = []
    masks: list[NDArray[np.bool_]] = []
    for index, (category, pair) in enumerate(pairs):
        for label, pixels in ((NORMAL, pair.good), (ANOMALOUS, pair.defective)):
            defect = pair.defect if label else GOOD
            place = f"{category}/{defect}/{index:04}"
            samples.append(Sample(place, name, category, "test", Path(f"{place}.png"), None, label, defect))
            pictures.append(Image.fromarray(pixels))
            masks.append(pair.mask if label else np.zeros_like(pair.mask))
    return PictureSet(name, tuple(samples), tuple(pictures), tuple(masks), paired=True)


def read_set(root: Path, category: str, *, side: int) -> PictureSet:
    """The test pictures of one category of a data set on disk; masks at the side of the tower's picture."""
    samples = open_dataset(str(root), generated=root).select("test", [category]).samples
    return PictureSet(
        category,
        samples,
        tuple(read_picture(sample.image) for sample in samples),
        tuple(read_mask(sample, side) for sample in samples),
        paired=False,
    )
