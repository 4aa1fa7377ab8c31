"""What a data set was understood to be: counts, masks, sizes and kinds of files, and the words that would change it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from stackclip.data.dataset import Dataset
from stackclip.data.hints import label_words, mask_words
from stackclip.data.images import open_picture, picture_size
from stackclip.data.masks import whole_mask
from stackclip.data.picked import PICKED
from stackclip.errors import PictureError
from stackclip.ops.spread import evenly
from stackclip.registry import Spec, datasets
from stackclip.types import ANOMALOUS, GOOD, UNLABELLED, Sample, Split

__all__ = ["MaskFacts", "PictureFacts", "Tally", "Understood", "understood"]

_PICTURES, _MASKS = 1000, 200  # that are looked at, evenly spread


@dataclass(frozen=True, slots=True)
class Tally:
    """How many pictures of a split of a category are good, of each defect, and without labels."""

    category: str
    split: Split
    good: int
    defects: Mapping[str, int]
    unlabelled: int


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The sizes (height, width) and kinds (`PNG RGB`) of the pictures `looked_at`, and those that cannot be read."""

    looked_at: int
    sizes: Mapping[tuple[int, int], int]
    kinds: Mapping[str, int]
    unreadable: tuple[PictureError, ...]


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """How many defective pictures have a mask, lack the one that others of their folder have, or have no place for one.

    Of those `looked_at`, `shares` are how much of its picture each covers, `empty` have no anomalous pixel, and
    `unusable` cannot be read or have another size than their picture.
    """

    paired: int
    missing: tuple[Path, ...]
    not_localised: int
    looked_at: int
    shares: tuple[float, ...]
    empty: tuple[Path, ...]
    unusable: tuple[PictureError, ...]


@dataclass(frozen=True, slots=True)
class Understood:
    """A data set with what is to be seen of it; `words` are what could be typed to change it, each with its reason."""

    dataset: Dataset
    tallies: tuple[Tally, ...]
    pictures: PictureFacts
    masks: MaskFacts
    words: tuple[tuple[str, str], ...]


def understood(dataset: Dataset, text: str) -> Understood:
    """Look at a data set that was opened by `text`: at the heads of up to 1000 pictures and at up to 200 masks."""
    samples = dataset.samples
    return Understood(
        dataset, tuple(_tallies(dataset)), _pictures(samples), _masks(samples), tuple(_words(dataset, text))
    )


def _tallies(dataset: Dataset) -> Iterator[Tally]:
    for category in dataset.categories:
        of_category = [sample for sample in dataset if sample.category == category]
        for split in get_args(Split):
            counts = Counter(sample.defect for sample in of_category if sample.split == split)
            if counts:
                defects = {name: count for name, count in counts.items() if name not in (GOOD, UNLABELLED)}
                yield Tally(category, split, counts[GOOD], defects, counts[UNLABELLED])


def _pictures(samples: Sequence[Sample]) -> PictureFacts:
    chosen = evenly(samples, _PICTURES)
    sizes: Counter[tuple[int, int]] = Counter()
    kinds: Counter[str] = Counter()
    unreadable = []
    for sample in chosen:
        try:
            sizes[picture_size(sample.image)] += 1
            with open_picture(sample.image) as picture:
                kinds[f"{picture.format} {picture.mode}"] += 1
        except PictureError as error:
            unreadable.append(error)
    return PictureFacts(len(chosen), sizes, kinds, tuple(unreadable))


def _masks(samples: Sequence[Sample]) -> MaskFacts:
    defective = [sample for sample in samples if sample.label == ANOMALOUS]
    there = [sample for sample in defective if sample.mask is not None and sample.mask.exists()]
    missing = tuple(each.mask for each in defective if each.mask is not None and not each.mask.exists())
    chosen = evenly(there, _MASKS)
    shares, empty, unusable = [], [], []
    for sample in chosen:
        try:
            share = float(whole_mask(sample).mean())
        except PictureError as error:
            unusable.append(error)
            continue
        shares.append(share)
        if not share and sample.mask is not None:
            empty.append(sample.mask)
    bare = len(defective) - len(there) - len(missing)
    return MaskFacts(len(there), missing, bare, len(chosen), tuple(shares), tuple(empty), tuple(unusable))


def _words(dataset: Dataset, text: str) -> Iterator[tuple[str, str]]:
    """What could be typed, and what it would do."""
    samples = dataset.samples
    yield shlex.quote(f"NAME={text}"), f"calls it otherwise than {dataset.name}"
    if dataset.layout == PICKED:
        return
    if any(each.defect == UNLABELLED for each in samples):
        yield (
            label_words(dataset.root, dataset.layout),
            "says which pictures are good; to find defects they need no labels",
        )
    elif not any(each.defect == GOOD for each in samples):
        yield label_words(dataset.root, dataset.layout), "says which pictures are good: none is now"
    elif masks := mask_words(dataset.root, dataset.layout, samples):
        yield masks, "pairs masks that were left out"
    spec = Spec.parse(dataset.layout)
    if options := [option.label for option in datasets.find(spec.name).options]:
        place = spec.name if dataset.registered else text.partition("[")[0]
        yield f"'{place}[{options[0]}=...]'", f"options of {spec.name}: {', '.join(options)}"
