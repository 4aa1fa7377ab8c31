"""Pascal VOC's annotations: boxes in an XML file for each picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

from stackclip.data.annotations import head_of
from stackclip.data.documents import number, parsing, read_tree
from stackclip.data.labels import GOOD_FOLDERS
from stackclip.data.lookup import PictureFinder
from stackclip.data.outlines import Marking, boxed
from stackclip.layouts.annotated import Annotations
from stackclip.layouts.drawings import DrawnPicture
from stackclip.layouts.painted import Exif
from stackclip.layouts.rules import Boxes, Splits, Unannotated
from stackclip.registry import datasets

__all__ = ["Voc"]

_WANTED = "<annotation> with <object>s of <name> and <bndbox> (xmin, ymin, xmax, ymax)"
_ROOT = re.compile(r"<annotation[\s>]")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@datasets.register("voc")
class Voc(Annotations):
    """Pascal VOC: boxes, which make a picture defective; `boxes=mask` takes all in them for the defect.

    A box goes from its first pixel to its last, both in it, and `first` is what the first pixel of a picture is called:
    1 in the devkit, 0 in many files, `auto` for 0 where a box of the data set begins at 0, else 1.
    """

    format = "Pascal VOC"
    suffixes = (".xml",)
    tree = """\
ROOT/
  Annotations/STEM.xml                    (or beside the picture)
  JPEGImages/STEM.jpg
"""

    def __init__(
        self,
        *,
        category: str | None = None,
        good: tuple[str, ...] = GOOD_FOLDERS,
        unannotated: Unannotated = "unlabelled",
        boxes: Boxes = "label",
        split: Splits = "folders",
        exif: Exif = "auto",
        first: Literal["auto", "0", "1"] = "auto",
    ) -> None:
        super().__init__(category=category, good=good, unannotated=unannotated, boxes=boxes, split=split, exif=exif)
        self.first = first

    def is_own(self, path: Path) -> bool:
        """Whether a file has the root element of an annotation, with a box in it or the name of a picture."""
        head = head_of(path)
        return bool(_ROOT.search(head)) and ("<object" in head or "<filename>" in head)

    def drawings(self, files: Sequence[Path], root: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
        """What each file says of its picture; raises DataError."""
        read = {path: read_tree(path) for path in files}
        corners = {path: [*_boxes(path, tree)] for path, tree in read.items()}
        starts = [at for boxes in corners.values() for _, *both in boxes for at in both[:2]]
        first = int(self.first) if self.first != "auto" else 0 if min(starts, default=1) < 1 else 1
        note = f"boxes are read from {first} on (first={first})" if self.rules.boxes == "mask" and starts else ""
        for path, tree in read.items():
            shapes: tuple[Marking, ...] = tuple(
                boxed(word, left - first, top - first, right - first + 1, bottom - first + 1)
                for word, left, top, right, bottom in corners[path]
            )
            said = (tree.findtext("filename") or "").strip() or path.stem
            image = pictures.find(said, path) or pictures.beside(path, path.stem)
            yield DrawnPicture(image, said, path, shapes, _size(path, tree), note=note)


def _boxes(path: Path, tree: Element) -> Iterator[tuple[str, float, float, float, float]]:
    for place, each in enumerate(tree.iter("object")):
        with parsing(f"{path}: object {place + 1}", _WANTED):
            place_of = each.find("bndbox")
            if place_of is None:
                raise ValueError("no <bndbox>")
            left, top, right, bottom = (number(place_of.findtext(corner)) for corner in _CORNERS)
            yield (each.findtext("name") or "").strip(), left, top, right, bottom


def _size(path: Path, tree: Element) -> tuple[int, int] | None:
    with parsing(path, "<size> with <width> and <height>"):
        height, width = (int(tree.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    return (height, width) if height and width else None
