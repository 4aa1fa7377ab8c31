"""What readers of annotations have in common: from what was drawn on pictures to samples with masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from stackclip.data.annotations import annotation_format
from stackclip.data.images import picture_frame
from stackclip.data.labels import GOOD_FOLDERS, holds_drawings, holds_masks, is_good
from stackclip.data.listing import files_below, folders_in, pictures_below, pictures_in
from stackclip.data.look import majority
from stackclip.data.lookup import Pictures
from stackclip.data.pairing import apart
from stackclip.data.reading import Reading
from stackclip.errors import DataError, PictureError
from stackclip.layouts.drawings import Drawing
from stackclip.layouts.painted import Exif, fits, paint_mask
from stackclip.layouts.remarks import Remarks
from stackclip.layouts.splits import split_named, tested
from stackclip.ops.words import one_line
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample, Split

__all__ = ["Annotations"]

_DEEPEST = 3  # folders below the root in which annotations are looked for to tell a layout
_MOST = 64  # of these folders
_LOOKED_AT = 3  # files of each

Unannotated = Literal["unlabelled", "good"]
Boxes = Literal["label", "mask"]
Splits = Literal["folders", "test"]


class Annotations(ABC):
    """A reader of one format of annotations; a format says which files are its own and what is drawn in them.

    All pictures below the root are read. `category` is what is seen in them (default: the folder's name). A picture
    with a shape or a class that is not called as one of `good` is defective, its defect the classes, joined by `+`. One
    without any is unlabelled, unless its folder is called good or `unannotated=good` says that it is. Boxes hold more
    than a defect: they make a picture defective and no mask, unless `boxes=mask` says that all in them counts. Folders
    and files called train, val and test are splits (`split=test`: all is tested). `exif` says whether pictures were
    turned upright when they were annotated, where their size does not tell. `file` is the one file to read, if not all.
    """

    format: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    named_by_folder = True

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
        self.category = category
        self.good = good
        self.unannotated = unannotated
        self.boxes = boxes
        self.split = split
        self.exif = exif
        self.file = file

    @property
    def title(self) -> str:
        """The format, and what counts as a mask where that was chosen."""
        return f"{self.format} annotations{', boxes as masks' if self.boxes == 'mask' else ''}"

    def recognises(self, root: Path) -> bool:
        """Whether a file near `root` is of the format, and neither folders of masks nor of good test pictures say more."""
        near = list(_near(root))
        return any(self.is_own(path) for folder in near for path in self._candidates(folder)) and not _is_laid_out(near)

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples by path, without masks; raises DataError."""
        return self.understand(root, name, None).samples

    def understand(self, root: Path, name: str, folder: Path | None) -> Reading:
        """All samples by path, with the masks of what was drawn written below `folder`; raises DataError, OSError."""
        files = self._files(root)
        if not files:
            return Reading((), root)
        pictures = _pictures(root)
        remarks = Remarks(root)
        drawn: dict[Path, Drawing] = {}
        for drawing in self.drawings(files, root, Pictures(pictures)):
            remarks.others += [drawing.note] if drawing.note else []
            if drawing.image is None:
                remarks.absent.append(drawing)
            elif drawing.image in drawn:
                raise _twice(drawing.image, drawn[drawing.image].source, drawing.source)
            else:
                drawn[drawing.image] = drawing
        if not drawn:
            raise DataError(f"{files[0]}: names no picture below {root} ({remarks.first_absent()})")
        found = [self._sample(path, drawn.get(path), root, name, folder, remarks) for path in pictures]
        samples, note = tested(found) if self.split == "folders" else ([replace(each, split="test") for each in found], "")
        return Reading(tuple(samples), root, self.used(files, root), notes=(*remarks.lines(), *([note] if note else [])))

    @abstractmethod
    def drawings(self, files: Sequence[Path], root: Path, pictures: Pictures) -> Iterator[Drawing]:
        """What the files say of each picture that they name; raises DataError."""

    def is_own(self, path: Path) -> bool:
        """Whether a file is of the format."""
        return annotation_format(path) == self.format

    def used(self, files: Sequence[Path], root: Path) -> frozenset[Path]:
        """The files that were read."""
        return frozenset(files)

    def _files(self, root: Path) -> list[Path]:
        """All files of the format below the root, or the one that was named; raises DataError."""
        if self.file is None:
            return [path for path in _below(root, self.suffixes) if self.is_own(path)]
        if not (root / self.file).is_file():
            raise DataError(f"{root / self.file}: no such file; file= names one below {root}")
        return [root / self.file]

    def _candidates(self, folder: Path) -> list[Path]:
        held = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in self.suffixes)
        return [path for path in held if not path.name.startswith(".")][:_LOOKED_AT]

    def _sample(
        self, image: Path, drawing: Drawing | None, root: Path, name: str, folder: Path | None, remarks: Remarks
    ) -> Sample:
        parts = image.relative_to(root).parts[:-1]
        defect = self._defect(image, drawing, parts, remarks)
        anomalous = defect not in (GOOD, UNLABELLED)
        named = drawing.split or split_named((*parts, *_words(drawing.source, root))) if drawing else split_named(parts)
        return Sample(
            id=image.relative_to(root).as_posix(),
            dataset=name,
            category=self.category or root.name,
            split=named or "test",
            image=image,
            mask=self._mask(drawing, folder, remarks) if drawing and anomalous else None,
            label=ANOMALOUS if anomalous else NORMAL,
            defect=defect,
        )

    def _defect(self, image: Path, drawing: Drawing | None, parts: Sequence[str], remarks: Remarks) -> str:
        """The classes that are drawn in a picture and are not good; GOOD or UNLABELLED where there are none."""
        words = [*(shape.word for shape in drawing.shapes), *drawing.words] if drawing else []
        in_good = any(is_good(part, self.good) for part in parts)
        bad = sorted({_name(word) for word in words if not is_good(word, self.good)})
        if bad:
            remarks.in_good += [image] if in_good else []
            return "+".join(bad)
        if words or in_good or self.unannotated == "good":
            return GOOD
        remarks.unannotated.append(image)
        return UNLABELLED

    def _mask(self, drawing: Drawing, folder: Path | None, remarks: Remarks) -> Path | None:
        """The mask of the defects in a picture; None where not all of it was drawn as an area, or none was."""
        shapes = [shape for shape in drawing.shapes if not is_good(shape.word, self.good)]
        if not shapes or drawing.image is None:
            return None
        if any(not shape.is_area for shape in shapes):
            remarks.strokes.append(drawing.image)
            return None
        if self.boxes == "label" and any(shape.is_box for shape in shapes):
            remarks.boxes.append(drawing.image)
            return None
        try:
            frame = picture_frame(drawing.image)
        except PictureError:  # it is named where it is read
            return None
        size = drawing.size or frame.upright
        remarks.other_size += [] if fits(size, frame, self.exif) else [drawing.image]
        return paint_mask(shapes, size, frame, folder, exif=self.exif) if folder else None


def _twice(image: Path, first: Path, second: Path) -> DataError:
    places = f"twice in {first}" if first == second else f"in {first} and in {second}; file= names the one to read"
    return DataError(f"{image}: annotated {places}")


def _name(word: str) -> str:
    """A class as the name of a defect: one line, and none of the words that have a meaning of their own."""
    name = one_line(word).replace("/", "-").replace("\\", "-") or "unnamed"
    return f"{name}-class" if name in (GOOD, UNLABELLED) else name


def _words(path: Path, root: Path) -> tuple[str, ...]:
    """The folders and the name of a file below the root, or the name alone."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else (path.name,)
    return (*parts[:-1], path.stem)


def _pictures(root: Path) -> list[Path]:
    """All pictures below the root but masks and drawings of them, by path."""
    by_place: dict[Path, list[Path]] = {}
    for path in pictures_below(root):
        by_place.setdefault(path.parent, []).append(path)
    kept: list[Path] = []
    for place, files in by_place.items():
        parts = place.relative_to(root).parts
        if any(holds_drawings(part) for part in parts):
            continue
        if not any(holds_masks(part) for part in parts) or majority(files) == "photograph":
            kept += apart(files, strict=False).pictures
    return sorted(kept)


def _below(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for folder, names, _ in files_below(root):
        yield from (folder / name for name in names if name.lower().endswith(suffixes))


def _near(root: Path) -> Iterable[Path]:
    """The root and the folders below it, as far as a layout is told by them."""
    level, found = [root], [root]
    for _ in range(_DEEPEST):
        level = [child for folder in level for child in folders_in(folder)][: _MOST - len(found)]
        found += level
    return found


def _is_laid_out(folders: Iterable[Path]) -> bool:
    """Whether there are masks in a folder of their own, or good pictures in one of a split, as MVTec-AD has them."""
    return any(
        (holds_masks(folder.name) and pictures_in(folder))
        or (is_good(folder.name) and split_named((folder.parent.name,)))
        for folder in folders
    )
