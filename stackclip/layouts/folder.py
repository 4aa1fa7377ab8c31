"""Anyone's own pictures: a plain folder, or one with a folder of good pictures and folders of defects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stackclip.data.labels import (
    GOOD_FOLDERS,
    composed,
    holds_masks,
    is_good,
    says_nothing,
    says_pictures,
    without_ending,
)
from stackclip.data.listing import folders_in, pictures_below, pictures_in, place_below
from stackclip.data.look import majority
from stackclip.data.pairing import apart
from stackclip.errors import DataError
from stackclip.layouts.labelled import labelled_pictures
from stackclip.layouts.named import FolderNames, named_pictures
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample

__all__ = ["Folder"]


@datasets.register("folder")
class Folder:
    """Your own pictures: a folder of them, or `good/` beside folders of defects, of one category or of several.

    Without a good folder nothing is known of the pictures: they are taken from the folder and from all below it, as
    unlabelled. All are test pictures. `category` is what is seen in them (default: the folder's name);
    `good` are the names, in any case, that a folder of good pictures may have; `bad` those of folders of defects, where
    others hold none; `masks` those of folders of masks, and `mask_suffix` what stands behind a picture's stem in the
    name of its mask. Each may be several with + between, and paths below the root or elsewhere (decision 0051).
    """

    title = "own pictures"
    named_by_folder = True
    tree = """\
ROOT/*.png                                (no labels: for predicting)

ROOT/                                     (labels by folder)
  good/*.png
  DEFECT/*.png
  ground_truth/DEFECT/STEM_mask.png       (if there are masks; or masks/STEM.png, or DEFECT/STEM_mask.png)

ROOT/CATEGORY/{good,DEFECT}/*.png         (several categories)
"""

    def __init__(
        self,
        *,
        category: str | None = None,
        good: tuple[str, ...] = GOOD_FOLDERS,
        bad: tuple[str, ...] = (),
        masks: tuple[str, ...] = (),
        mask_suffix: tuple[str, ...] = (),
    ) -> None:
        self.category = category
        self.good = good
        self.names = FolderNames(good, bad, masks, mask_suffix)

    def recognises(self, root: Path) -> bool:
        """Whether there is a picture in `root` or anywhere below it."""
        return next(pictures_below(root), None) is not None

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then folder, then file name; raises DataError for pictures that fit no folder."""
        if self._is_told(root):
            return tuple(self._named(root, name))
        if self._has_good(root):
            return tuple(self._labelled(root, self.category or root.name, root, name))
        categories = [folder for folder in folders_in(root) if self._is_category(folder)]
        if not categories:
            return tuple(self._unlabelled(root, name))
        self._check_several(root, categories)
        _check_looks(categories)
        return tuple(
            sample
            for folder in categories
            for sample in self._labelled(folder, _category(folder, root, self.category), root, name)
        )

    def _is_told(self, root: Path) -> bool:
        """Whether the options say more than what good folders in the usual tree are called."""
        if self.names.bad or self.names.masks or self.names.mask_suffix:
            return True
        if self.good is GOOD_FOLDERS:
            return False
        return not self._has_good(root) and not any(self._has_good(folder) for folder in folders_in(root))

    def _named(self, root: Path, name: str) -> Iterator[Sample]:
        pictures = named_pictures(root, self.names)
        categories = sorted({each.category for each in pictures})
        if self.category is not None and len(categories) > 1:
            raise DataError(
                f"{root}: several categories ({', '.join(categories)}); category={self.category} is for one"
            )
        for each in pictures:
            yield Sample(
                id=each.id,
                dataset=name,
                category=self.category or each.category or root.name,
                split=each.split,
                image=each.image,
                mask=each.mask,
                label=NORMAL if each.defect == GOOD else ANOMALOUS,
                defect=each.defect,
            )

    def _has_good(self, folder: Path) -> bool:
        return any(is_good(child.name, self.good) for child in folders_in(folder))

    def _is_category(self, folder: Path) -> bool:
        """Whether a folder has good pictures: one called `masks` may be a category, or the masks of others."""
        if not self._has_good(folder):
            return False
        good = [child for child in folders_in(folder) if is_good(child.name, self.good)]
        pictures = [path for child in good for path in pictures_below(child)]
        return not holds_masks(folder.name) or majority(pictures) == "photograph"

    def _check_several(self, root: Path, categories: list[Path]) -> None:
        if self.category is not None and len(categories) > 1:
            names = ", ".join(folder.name for folder in categories)
            raise DataError(f"{root}: several categories ({names}); category={self.category} is for one")
        for folder in _no_masks(root):
            if folder not in categories and next(pictures_below(folder), None) is not None:
                wanted = "|".join(self.good)
                raise DataError(f"{folder}: no folder of good pictures ({wanted}) in it, as there is beside it")
        if loose := pictures_in(root):
            raise DataError(f"{loose[0]}: beside folders that are labels; move it into one of them")

    def _labelled(self, folder: Path, category: str, root: Path, name: str) -> Iterator[Sample]:
        for each in labelled_pictures(folder, _areas(folder, root), good=self.good):
            yield each.sample(root, dataset=name, category=category, split="test")

    def _unlabelled(self, root: Path, name: str) -> Iterator[Sample]:
        by_place: dict[Path, list[Path]] = {}
        for path in pictures_below(root):
            places = path.parent.relative_to(root).parts
            if deep := next((part for part in places if is_good(part, self.good)), None):
                raise DataError(
                    f"{path}: {deep}/ lies deeper than its tree; wanted ROOT/{deep}/ or ROOT/CATEGORY/{deep}/, or the "
                    f"folders named: '{root}[good={deep}]'"
                )
            by_place.setdefault(path.parent, []).append(path)
        for image in _without_masks(root, by_place):
            yield Sample(
                id=place_below(image, root),
                dataset=name,
                category=self.category or root.name,
                split="test",
                image=image,
                mask=None,
                label=NORMAL,
                defect=UNLABELLED,
            )


def _check_looks(categories: Sequence[Path]) -> None:
    """Raise DataError for a category whose files look like masks, beside others that are photographs."""
    if len(categories) < 2:
        return
    looks = {folder: majority(list(pictures_below(folder))) for folder in categories}
    for folder, look in looks.items():
        if look == "mask" and "photograph" in looks.values() and not says_pictures(folder.name):
            raise DataError(
                f"{folder}: masks by their look, beside photographs; call it masks/, else {folder.name}_pictures/"
            )


def _without_masks(root: Path, by_place: Mapping[Path, list[Path]]) -> Iterator[Path]:
    """The pictures that are no masks by their look: beside a picture, in a folder called so, or with others' stems."""
    kept: dict[Path, list[Path]] = {}
    for place, files in by_place.items():
        named = any(holds_masks(part) for part in place.relative_to(root).parts)
        if not named or majority(files) == "photograph":
            kept[place] = apart(files, strict=False).pictures
    looks = {place: majority(files) for place, files in kept.items()} if len(kept) > 1 else {}
    stems = {composed(path.stem) for place, look in looks.items() if look == "photograph" for path in kept[place]}
    for place, files in kept.items():
        of_others = looks.get(place) == "mask" and any(
            {composed(p.stem), without_ending(p.stem)} & stems for p in files
        )
        if not of_others or says_pictures(place.name):
            yield from files


def _no_masks(root: Path) -> list[Path]:
    return [folder for folder in folders_in(root) if not holds_masks(folder.name)]


def _category(folder: Path, root: Path, named: str | None) -> str:
    """What a category's folder is called; one called `images` beside its masks is named by what it lies in."""
    return named or (root.name if says_nothing(folder.name) else folder.name)


def _areas(folder: Path, root: Path) -> list[Path]:
    """The folders of masks beside a category's folder: its own in `masks/`, or `masks/` itself beside `images/`."""
    if folder == root:
        return []
    around = [area for area in folders_in(root) if holds_masks(area.name)]
    if says_nothing(folder.name):
        return around
    return [area / folder.name for area in around if (area / folder.name).is_dir()]
