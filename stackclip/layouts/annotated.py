"""What readers of annotations have in common: which files they read, and the samples of what is drawn in these."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from stackclip.data.annotations import annotation_format
from stackclip.data.interpretation import Interpretation
from stackclip.data.labels import GOOD_FOLDERS
from stackclip.data.listing import place_below
from stackclip.data.lookup import PictureFinder
from stackclip.errors import DataError
from stackclip.layouts.drawings import DrawnPicture
from stackclip.layouts.painted import Exif
from stackclip.layouts.remarks import Remarks
from stackclip.layouts.rules import Boxes, Rules, Splits, Unannotated
from stackclip.layouts.splits import split_named, tested
from stackclip.layouts.surroundings import files_near, files_of, is_laid_out, photographs
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample

__all__ = ["Annotations", "AnnotationsInOne"]


_OPTIONS = """\
All pictures below the root are read, as one `category` (default: the folder's name). A picture with a shape or a class
that is not called as one of `good` is defective, its defect the classes, joined by `+`. One without any is unlabelled,
unless its folder is called good or `unannotated=good` says that it is. Boxes hold more than a defect: they make a
picture defective and no mask, unless `boxes=mask` says that all in them counts. Folders and files called train, val and
test are splits (`split=test`: all is tested). `exif` says whether pictures were turned upright before they were
annotated, where their size does not tell."""


class Annotations(ABC):
    """A reader of one format of annotations; a format says which files are its own and what is drawn in them.

    Its docstring is followed by what the options of all formats mean.
    """

    format: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    named_by_folder = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\n{_OPTIONS}"

    def __init__(
        self,
        *,
        category: str | None = None,
        good: tuple[str, ...] = GOOD_FOLDERS,
        unannotated: Unannotated = "unlabelled",
        boxes: Boxes = "label",
        split: Splits = "folders",
        exif: Exif = "auto",
    ) -> None:
        self.category = category
        self.rules = Rules(good, unannotated, boxes, exif)
        self.split = split

    @property
    def title(self) -> str:
        """The format, and what counts as a mask where that was chosen."""
        return f"{self.format} annotations{', boxes as masks' if self.rules.boxes == 'mask' else ''}"

    def recognises(self, root: Path) -> bool:
        """Whether a file near `root` is of the format."""
        return any(self.is_own(path) for path in files_near(root, self.suffixes))

    def detects(self, root: Path) -> bool:
        """Whether one is that names a picture, and no folders say more: masks, good pictures of a split."""
        if not self.recognises(root) or is_laid_out(root):
            return False
        try:
            return any(each.image for each in self.drawings(self.files(root), root, PictureFinder(photographs(root))))
        except DataError:  # what is wrong is said where the layout is read
            return True

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples by path, without masks; raises DataError."""
        return self.understand(root, name, None).samples

    def understand(self, root: Path, name: str, folder: Path | None) -> Interpretation:
        """All samples by path, with the masks of what was drawn written below `folder`; raises DataError, OSError."""
        files = self.files(root)
        if not files:
            return Interpretation((), root)
        pictures, remarks = photographs(root), Remarks(root)
        drawn = _by_picture(self.drawings(files, root, PictureFinder(pictures)), remarks)
        if not drawn:
            raise DataError(f"{files[0]}: names no picture below {root} ({remarks.first_absent()})")
        samples = [
            self._sample(path, drawn.get(path), root, name, folder, remarks) for path in sorted({*pictures, *drawn})
        ]
        if self.split == "test":
            samples = [replace(each, split="test") for each in samples]
        samples, note = tested(samples)
        return Interpretation(tuple(samples), root, self.used(files, root), notes=(*remarks.lines(), *note))

    @abstractmethod
    def drawings(self, files: Sequence[Path], root: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
        """What the files say of each picture that they name; raises DataError."""

    def is_own(self, path: Path) -> bool:
        """Whether a file is of the format."""
        return annotation_format(path) == self.format

    def files(self, root: Path) -> list[Path]:
        """The files of the format below the root; raises DataError."""
        return [path for path in files_of(root, self.suffixes) if self.is_own(path)]

    def used(self, files: Sequence[Path], root: Path) -> frozenset[Path]:
        """The files that were read, when these were."""
        return frozenset(files)

    def _sample(
        self, image: Path, drawing: DrawnPicture | None, root: Path, name: str, folder: Path | None, remarks: Remarks
    ) -> Sample:
        folders = image.relative_to(root).parts[:-1]
        defect = self.rules.defect(image, drawing, folders, remarks)
        anomalous = defect not in (GOOD, UNLABELLED)
        said = drawing.split if drawing else None
        return Sample(
            id=place_below(image, root),
            dataset=name,
            category=self.category or root.name,
            split=said or split_named((*(_names(drawing.source, root) if drawing else ()), *folders)) or "test",
            image=image,
            mask=self.rules.mask(drawing, folder, remarks) if drawing and anomalous else None,
            label=ANOMALOUS if anomalous else NORMAL,
            defect=defect,
        )


class AnnotationsInOne(Annotations):
    """A format of which one file is about many pictures."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = f"{cls.__doc__} `file` is the one file to read, if not all."

    def __init__(
        self,
        *,
        category: str | None = None,
        good: tuple[str, ...] = GOOD_FOLDERS,
        unannotated: Unannotated = "unlabelled",
        boxes: Boxes = "label",
        split: Splits = "folders",
        exif: Exif = "auto",
        file: str | None = None,
    ) -> None:
        super().__init__(category=category, good=good, unannotated=unannotated, boxes=boxes, split=split, exif=exif)
        self.file = file

    def recognises(self, root: Path) -> bool:
        """Whether a file near `root` is of the format, or the one that was named is there."""
        return (root / self.file).is_file() if self.file is not None else super().recognises(root)

    def files(self, root: Path) -> list[Path]:
        """The files of the format below the root, or the one that was named; raises DataError."""
        if self.file is None:
            return super().files(root)
        if not (root / self.file).is_file():
            raise DataError(f"{root / self.file}: no such file; file= names one below {root}")
        return [root / self.file]


def _by_picture(drawings: Iterator[DrawnPicture], remarks: Remarks) -> dict[Path, DrawnPicture]:
    """What is drawn on each picture; raises DataError for one that is annotated twice."""
    drawn: dict[Path, DrawnPicture] = {}
    for each in drawings:
        remarks.others += [each.note] if each.note else []
        if each.image is None:
            remarks.absent.append(each)
            continue
        if (first := drawn.get(each.image)) is not None:
            places = (
                f"twice in {each.source}" if first.source == each.source else f"in {first.source} and {each.source}"
            )
            raise DataError(f"{each.image}: annotated {places}; keep one of them, or name the file to read")
        drawn[each.image] = each
    return drawn


def _names(path: Path, root: Path) -> tuple[str, ...]:
    """The folders and the name of a file below the root."""
    parts = path.relative_to(root).parts
    return (*parts[:-1], path.stem)
