"""DAGM 2007 as it is published: generated textures, and ellipses around their defects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from stackclip.data.listing import folders_in, pictures_in, place_below
from stackclip.data.pairing import MaskFolder
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["Dagm"]

_CLASS = re.compile(r"class(\d+)", re.IGNORECASE)
_LABELS = "Label"
_LABEL_ENDING = "_label"
_SPLITS: tuple[tuple[str, Literal["train", "test"]], ...] = (("Train", "train"), ("Test", "test"))


@datasets.register("dagm")
class Dagm:
    """DAGM 2007: 10 generated textures, test 6996 normal and 1054 anomalous (Wieler and Hahn, DAGM symposium 2007).

    A picture is anomalous where it has a label; the label is a filled ellipse around the defect, wider than the defect
    itself, and is taken as the mask as it is, as all papers do. `Labels.txt` says the same and is not read. The train
    pictures, 7004 normal and 1046 anomalous with labels of their own, keep their split.
    """

    published = "dagm"
    title = "DAGM layout (ellipses as masks)"
    source = "Heidelberg Collaboratory for Image Processing, hci.iwr.uni-heidelberg.de, zenodo.org/records/12750201"
    folders = ("dagm2007", "dagm_2007", "DAGM_KaggleUpload")
    tree = """\
ROOT/
  Class1/                                 to Class10
    Train/NNNN.PNG
    Train/Label/NNNN_label.PNG            (of each defective picture)
    Test/NNNN.PNG
    Test/Label/NNNN_label.PNG
"""

    def recognises(self, root: Path) -> bool:
        """Whether a folder `ClassN` in `root` has labels in `Train/Label/` or `Test/Label/`."""
        return any((folder / split / _LABELS).is_dir() for folder in _classes(root) for split, _ in _SPLITS)

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by the class's number, then train before test, then by file name.

        Raises DataError for a split without its folder of labels, and for a label without its picture.
        """
        return tuple(sample for folder in _classes(root) for sample in _samples(folder, root, name))


def _classes(root: Path) -> list[Path]:
    numbered = {folder: match for folder in folders_in(root) if (match := _CLASS.fullmatch(folder.name))}
    return sorted(numbered, key=lambda folder: int(numbered[folder][1]))


def _samples(category: Path, root: Path, name: str) -> Iterator[Sample]:
    for folder, split in _SPLITS:
        pictures = pictures_in(category / folder) if (category / folder).is_dir() else []
        labels = category / folder / _LABELS
        if pictures and not labels.is_dir():
            raise DataError(
                f"{labels}: no such folder; without labels no picture of {folder}/ is known to be defective"
            )
        if labels.is_dir():
            _refuse_orphans(pictures_in(labels), pictures)
        masks = MaskFolder(labels, endings=(_LABEL_ENDING,))
        for image in pictures:
            mask = masks.find(image)
            yield Sample(
                id=place_below(image, root),
                dataset=name,
                category=category.name,
                split=split,
                image=image,
                mask=mask,
                label=ANOMALOUS if mask else NORMAL,
                defect="defect" if mask else GOOD,
            )


def _refuse_orphans(labels: list[Path], pictures: list[Path]) -> None:
    stems = {f"{picture.stem}{_LABEL_ENDING}" for picture in pictures}
    for label in labels:
        if label.stem not in stems:
            wanted = label.parents[1] / f"{label.stem.removesuffix(_LABEL_ENDING)}{label.suffix}"
            raise DataError(f"{label}: a label without its picture {wanted}")
