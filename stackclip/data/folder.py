"""Anyone's own pictures: a plain folder, or one with a folder of good pictures and folders of defects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stackclip.data.listing import GOOD_FOLDERS, folders_in, pictures_below, pictures_in
from stackclip.data.pairing import MaskFolder
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["UNLABELLED", "Folder"]

UNLABELLED = "unlabelled"  # the `defect` of a picture of which nothing is known; its label is NORMAL for want of one
_MASKS = "ground_truth"


@datasets.register("folder")
class Folder:
    """Your own pictures: a folder of them, or `good/` beside folders of defects, of one category or of several.

    Without a good folder nothing is known of the pictures: they are taken from the folder and from all below it, as
    unlabelled. All are test pictures. `category` is what is seen in them (default: the folder's name);
    `good` are the names, in any case, that a folder of good pictures may have.
    """

    title = "own pictures"
    named_by_folder = True
    tree = """\
ROOT/*.png                                (no labels: for predicting)

ROOT/                                     (labels by folder)
  good/*.png
  DEFECT/*.png
  ground_truth/DEFECT/STEM_mask.png       (if there are masks)

ROOT/CATEGORY/{good,DEFECT}/*.png         (several categories)
"""

    def __init__(self, *, category: str | None = None, good: tuple[str, ...] = GOOD_FOLDERS) -> None:
        self.category = category
        self.good = frozenset(name.lower() for name in good)

    def recognises(self, root: Path) -> bool:
        """Whether there is a picture in `root` or anywhere below it."""
        return next(pictures_below(root), None) is not None

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then folder, then file name; raises DataError for pictures that fit no folder."""
        if self._has_good(root):
            return tuple(self._labelled(root, self.category or root.name, root, name))
        categories = [folder for folder in folders_in(root) if self._has_good(folder)]
        if not categories:
            return tuple(self._unlabelled(root, name))
        self._check_several(root, categories)
        return tuple(sample for folder in categories for sample in self._labelled(folder, folder.name, root, name))

    def _has_good(self, folder: Path) -> bool:
        return any(child.name.lower() in self.good for child in folders_in(folder))

    def _check_several(self, root: Path, categories: list[Path]) -> None:
        if self.category is not None:
            names = ", ".join(folder.name for folder in categories)
            raise DataError(f"{root}: several categories ({names}); category={self.category} is for one")
        for folder in folders_in(root):
            if folder not in categories and next(pictures_below(folder), None) is not None:
                wanted = "|".join(sorted(self.good))
                raise DataError(f"{folder}: no folder of good pictures ({wanted}) in it, as there is beside it")
        _refuse_loose_pictures(root)

    def _labelled(self, folder: Path, category: str, root: Path, name: str) -> Iterator[Sample]:
        _refuse_loose_pictures(folder)
        for child in folders_in(folder):
            if child.name == _MASKS:
                continue
            normal = child.name.lower() in self.good
            masks = None if normal else MaskFolder(folder / _MASKS / child.name)
            for image in pictures_below(child):
                yield Sample(
                    id=image.relative_to(root).as_posix(),
                    dataset=name,
                    category=category,
                    split="test",
                    image=image,
                    mask=masks.of(image) if masks else None,
                    label=NORMAL if normal else ANOMALOUS,
                    defect=GOOD if normal else child.name,
                )

    def _unlabelled(self, root: Path, name: str) -> Iterator[Sample]:
        for image in pictures_below(root):
            below = image.relative_to(root)
            if _MASKS in below.parts:
                continue
            yield Sample(
                id=below.as_posix(),
                dataset=name,
                category=self.category or root.name,
                split="test",
                image=image,
                mask=None,
                label=NORMAL,
                defect=UNLABELLED,
            )


def _refuse_loose_pictures(folder: Path) -> None:
    if loose := pictures_in(folder):
        raise DataError(f"{loose[0]}: beside folders that are labels; move it into one of them")
