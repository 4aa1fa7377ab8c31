"""MVTec AD 2 as it is published: the public test split is tested, the private ones have no labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stackclip.data.listing import folders_in, place_below
from stackclip.layouts.labelled import labelled_pictures
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["MvtecAd2"]

_PUBLIC = "test_public"
_TRAIN = "train"


@datasets.register("mvtec-ad2")
class MvtecAd2:
    """MVTec AD 2: 8 categories, public test 379 normal and 705 anomalous pictures (Heckler-Kram et al., 2025).

    `test_public/` is the test split. The pictures of `validation/` and of the private test splits, of which only the
    authors' server knows the labels, are not read. A category's own download may lie in a folder of its name twice.
    """

    published = "mvtec-ad2"
    title = "MVTec AD 2 layout (public test split)"
    source = "CC BY-NC-SA 4.0, MVTec Software GmbH, www.mvtec.com/company/research/datasets/mvtec-ad-2"
    folders = ("mvtec_ad_2", "MVTecAD2")
    tree = """\
ROOT/
  CATEGORY/                               can, fabric, fruit_jelly, ...
    train/good/NNN_regular.png
    test_public/good/NNN_LIGHT.png
    test_public/bad/NNN_LIGHT.png
    test_public/ground_truth/bad/NNN_LIGHT_mask.png
"""

    def recognises(self, root: Path) -> bool:
        """Whether `root` or a folder in it, or one of the same name in that, has `test_public/`."""
        return bool(_categories(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then train before test, then defect, then file name; raises DataError."""
        return tuple(sample for folder in _categories(root) for sample in _samples(folder, root, name))


def _categories(root: Path) -> list[Path]:
    if (root / _PUBLIC).is_dir():
        return [root]
    places = ((folder, folder / folder.name) for folder in folders_in(root))
    return [place for both in places for place in both if (place / _PUBLIC).is_dir()]


def _samples(category: Path, root: Path, name: str) -> Iterator[Sample]:
    for split, folder in (("train", category / _TRAIN), ("test", category / _PUBLIC)):
        if not folder.is_dir():
            continue
        for each in labelled_pictures(folder, (), localised=split == "test"):
            yield Sample(
                id=place_below(each.image, root),
                dataset=name,
                category=category.name,
                split="train" if split == "train" else "test",
                image=each.image,
                mask=each.mask,
                label=NORMAL if each.defect == GOOD else ANOMALOUS,
                defect=each.defect,
            )
