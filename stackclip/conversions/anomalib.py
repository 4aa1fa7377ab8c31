"""The folders that anomalib's `Folder` takes: normal, normal_test, abnormal and mask, below each category."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from stackclip.conversions.files import Placer, folder_names, picture_places
from stackclip.data import Dataset
from stackclip.types import GOOD, Sample

__all__ = ["write_anomalib"]


def write_anomalib(dataset: Dataset, placing: Placer) -> list[str]:
    """`CAT/{normal,normal_test}/`, `CAT/abnormal/DEFECT/STEM.png` and `CAT/mask/DEFECT/STEM.png`.

    It pairs masks by sorted position, so that names are those of the pictures and every abnormal one has to have one;
    good pictures that are not trained on are `normal_test`.
    """
    categories = folder_names(dataset.categories)
    defects = folder_names(sample.defect for sample in dataset if sample.defect != GOOD)

    def folder_of(sample: Sample) -> str:
        kind = "normal" if sample.split == "train" else "normal_test"
        return (
            f"{categories[sample.category]}/{kind if sample.defect == GOOD else f'abnormal/{defects[sample.defect]}'}"
        )

    without: Counter[str] = Counter()
    held: set[str] = set()
    for sample, place in picture_places(dataset, folder_of).items():
        if not placing.picture(sample, place):
            continue
        held.add(place.split("/")[1])
        if sample.defect == GOOD:
            continue
        category, _, *inner = PurePosixPath(place).with_suffix(".png").parts
        if not placing.mask(sample, "/".join((category, "mask", *inner))):
            without[category] += 1
    lacking = [
        f"{category}: {number} abnormal without a mask: leave mask_dir out" for category, number in without.items()
    ]
    good = "the good ones are normal_test/" if "normal_test" in held else "there are none"
    bare = [] if "normal" in held else [f"no good picture to train on: {good}"]
    return [_words(held, any_mask=bool(placing.masks)), *lacking, *bare]


def _words(held: set[str], *, any_mask: bool) -> str:
    """How the folders that are there are typed."""
    good = "+".join(name for name in ("normal", "normal_test") if name in held)
    words = [*([f"good={good}"] if good else []), *(["bad=abnormal"] if "abnormal" in held else [])]
    return f"stackclip reads it with [{','.join([*words, *(['masks=mask'] if any_mask else [])])}] behind its path"
