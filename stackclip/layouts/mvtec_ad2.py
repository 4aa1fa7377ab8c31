"""MVTec AD 2 as it is published: the public test split has labels, the private ones have none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from stackclip.data.listing import folders_in, pictures_in
from stackclip.errors import DataError
from stackclip.layouts.labelled import Labelled, labelled_pictures
from stackclip.registry import datasets
from stackclip.types import NORMAL, UNLABELLED, Sample, Split

__all__ = ["PRIVATE", "MvtecAd2", "categories_of"]

PRIVATE = ("test_private", "test_private_mixed")
"""The folders of a category whose labels only the authors' server knows."""
_PUBLIC = "test_public"
_SPLITS: tuple[tuple[Split, str], ...] = (("train", "train"), ("validation", "validation"))


@datasets.register("mvtec-ad2")
class MvtecAd2:
    """MVTec AD 2: 8 categories, public test 379 normal and 705 anomalous pictures (Heckler-Kram et al., 2025).

    `test` is the split that is tested: `public`, or `private` or `private_mixed`, of which only the authors' server
    knows the labels; a bench refuses those, and `stackclip submission` writes what the server takes. The pictures of
    `validation/` are those that methods calibrate by. A category's own download may lie in a folder of its name twice.
    """

    published = "mvtec-ad2"
    fpr_limits = (0.05,)  # of its evaluation's AU-PRO
    source = "CC BY-NC-SA 4.0, MVTec Software GmbH, www.mvtec.com/company/research/datasets/mvtec-ad-2"
    folders = ("mvtec_ad_2", "MVTecAD2")
    tree = """\
ROOT/
  CATEGORY/                               can, fabric, fruit_jelly, ...
    train/good/NNN_regular.png
    validation/good/NNN_regular.png
    test_public/good/NNN_LIGHT.png
    test_public/bad/NNN_LIGHT.png
    test_public/ground_truth/bad/NNN_LIGHT_mask.png
    test_private/NNN_regular.png
    test_private_mixed/NNN_mixed.png
"""

    def __init__(self, *, test: Literal["public", "private", "private_mixed"] = "public") -> None:
        self.tested = f"test_{test}"
        self.protocol = "" if test == "public" else test
        self.title = f"MVTec AD 2 layout ({self.tested}/ tested)"

    def recognises(self, root: Path) -> bool:
        """Whether `root` or a folder in it, or one of the same name in that, has `test_public/` or a private one."""
        return bool(categories_of(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then train, validation, test, then defect, then file name; raises DataError."""
        return tuple(sample for folder in categories_of(root) for sample in self._samples(folder, root, name))

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is of the public split where a private one is tested, or one of the archive's two texts."""
        public = self.tested != _PUBLIC and _PUBLIC in path.relative_to(root).parts
        return public or path.name in ("license.txt", "readme.txt")

    def _samples(self, category: Path, root: Path, name: str) -> Iterator[Sample]:
        for split, folder in (*_SPLITS, ("test", self.tested)):
            for each in _pictures(category / folder, localised=split == "test"):
                sample = each.sample(root, dataset=name, category=category.name, split=split)
                yield replace(sample, label=NORMAL) if each.defect == UNLABELLED else sample


def categories_of(root: Path) -> list[Path]:
    """The folders of categories: `root` itself, or those in it, or those of the same name in these."""
    if _is_category(root):
        return [root]
    places = ((folder, folder / folder.name) for folder in folders_in(root))
    return [next(place for place in both if _is_category(place)) for both in places if any(map(_is_category, both))]


def _is_category(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in (_PUBLIC, *PRIVATE))


def _pictures(folder: Path, *, localised: bool) -> list[Labelled]:
    """The pictures of a split, none where it is not there; those of a private one have no labels."""
    if not folder.is_dir():
        return []
    if folder.name not in PRIVATE:
        return labelled_pictures(folder, (), localised=localised)
    if inner := folders_in(folder):
        raise DataError(f"{inner[0]}: wanted the pictures in {folder.name}/ itself, as they are published")
    return [Labelled(image, folder, None, UNLABELLED) for image in pictures_in(folder)]
