"""Pictures of one's own, of which nothing counts but what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from stackclip.data.dataset import Dataset
from stackclip.errors import DataError
from stackclip.ops.words import agreed, counted
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample

__all__ = ["bad_pictures", "own_pictures", "without_folders"]


def own_pictures(dataset: Dataset, name: str, good: Dataset | None = None) -> Dataset:
    """All pictures of a data set as one category to be tested; their labels, masks and splits are forgotten.

    The pictures of `good`, which may be shown to methods, are its training pictures, in their order.
    Raises DataError where `good` has defective pictures by its layout.
    """
    tested = [
        replace(sample, category=name, split="test", mask=None, label=NORMAL, defect=UNLABELLED)
        for sample in dataset.samples
    ]
    normal = [] if good is None else _normal(good, name, of=dataset)
    return replace(dataset, samples=(*tested, *normal))


def bad_pictures(bad: Dataset, name: str, of: Dataset) -> tuple[Sample, ...]:
    """All pictures of a data set as pictures of the category that are known to be bad; masks are forgotten."""
    own = partial(replace, dataset=f"{of.name}, bad", category=name, split="test", mask=None, label=ANOMALOUS)
    return tuple(own(sample, defect=UNLABELLED) for sample in bad.samples)


def without_folders(dataset: Dataset, folders: Sequence[Path]) -> Dataset:
    """A data set without the pictures in some folders, however a link leads there."""
    places = [folder.resolve() for folder in folders]

    def lies_in_one(sample: Sample) -> bool:
        image = sample.image.resolve()
        return any(image.is_relative_to(place) for place in places)

    return replace(dataset, samples=tuple(sample for sample in dataset.samples if not lies_in_one(sample)))


def _normal(good: Dataset, name: str, *, of: Dataset) -> list[Sample]:
    if defective := sum(sample.label == ANOMALOUS for sample in good.samples):
        raise DataError(
            f"{good.root}: {counted(defective, 'picture')} in it {agreed('are', defective)} defective by its layout; "
            "name the folder of the normal ones"
        )
    # Their ids may be those of pictures that are tested, so they go by a data set of their own.
    return [
        replace(sample, dataset=f"{of.name}, good", category=name, split="train", mask=None, label=NORMAL, defect=GOOD)
        for sample in good.samples
    ]
