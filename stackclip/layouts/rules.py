"""What counts in annotations: from what was drawn on a picture to its label and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from stackclip.data.images import picture_frame
from stackclip.data.labels import is_good
from stackclip.errors import PictureError
from stackclip.layouts.drawings import DrawnPicture
from stackclip.layouts.painted import Exif, fits, painted_mask
from stackclip.layouts.remarks import Remarks
from stackclip.ops.words import one_line
from stackclip.types import GOOD, UNLABELLED

__all__ = ["Boxes", "Rules", "Splits", "Unannotated", "defect_name"]

Unannotated: TypeAlias = Literal["unlabelled", "good"]
Boxes: TypeAlias = Literal["label", "mask"]
Splits: TypeAlias = Literal["folders", "test"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The words of good classes, what pictures without any annotation are, and what boxes count as."""

    good: tuple[str, ...]
    unannotated: Unannotated
    boxes: Boxes
    exif: Exif

    def defect(self, image: Path, drawing: DrawnPicture | None, folders: Sequence[str], remarks: Remarks) -> str:
        """The classes that are drawn in a picture and are not good; GOOD or UNLABELLED where there are none.

        `folders` are the names of those that it lies in, below the root.
        """
        words = [*(shape.word for shape in drawing.shapes), *drawing.words] if drawing else []
        in_good = any(is_good(name, self.good) for name in folders)
        bad = sorted({defect_name(word) for word in words if not is_good(word, self.good)})
        if bad:
            remarks.in_good += [image] if in_good else []
            return "+".join(bad)
        if words or in_good or self.unannotated == "good":
            return GOOD
        remarks.unannotated.append(image)
        return UNLABELLED

    def mask(self, drawing: DrawnPicture, folder: Path | None, remarks: Remarks) -> Path | None:
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
        return painted_mask(shapes, size, frame, folder, exif=self.exif) if folder else None


def defect_name(word: str) -> str:
    """A class as the name of a defect: one line, and none of the words that have a meaning of their own."""
    name = one_line(word).replace("/", "-").replace("\\", "-") or "unnamed"
    return f"{name}-class" if name in (GOOD, UNLABELLED) else name
