"""CVAT's own annotations of images: one XML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from stackclip.data.documents import number, pairs, parsing, read_tree
from stackclip.data.images import PIXEL_LIMIT
from stackclip.data.lookup import PictureFinder
from stackclip.data.outlines import Bitmap, Marking, Outline, Oval, Stroke, turned_box
from stackclip.data.runs import row_runs
from stackclip.errors import DataError
from stackclip.layouts.annotated import AnnotationsInOne
from stackclip.layouts.drawings import DrawnPicture
from stackclip.layouts.splits import split_of_word
from stackclip.registry import datasets

__all__ = ["Cvat"]

_SHAPES = ("box", "polygon", "mask", "ellipse", "polyline", "points")
_WANTED = "<image name width height> with shapes of CVAT for images 1.1"


@datasets.register("cvat")
class Cvat(AnnotationsInOne):
    """CVAT for images 1.1: polygons, masks, ellipses, boxes, and tags of whole pictures.

    The code of a mask runs along the rows of its own box, unlike COCO's. A picture's `subset` is its split.
    """

    format = "CVAT"
    suffixes = (".xml",)
    tree = """\
ROOT/
  annotations.xml                         (CVAT for images 1.1)
  images/*.jpg                            (anywhere below)
"""

    def drawings(self, files: Sequence[Path], root: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
        """What each file says of its pictures; raises DataError."""
        for path in files:
            tree = read_tree(path)
            if tree.find("track") is not None:
                raise DataError(f"{path}: annotations of a video; export the task as CVAT for images 1.1")
            for image in tree.iter("image"):
                yield _drawn(image, path, pictures)


def _drawn(image: Element, path: Path, pictures: PictureFinder) -> DrawnPicture:
    with parsing(path, _WANTED):
        said, size = image.attrib["name"], (int(image.attrib["height"]), int(image.attrib["width"]))
    shapes = []
    for place, each in enumerate(each for each in image if each.tag in _SHAPES):
        with parsing(f"{path}: {said}: shape {place + 1}", "a shape of CVAT with its label"):
            shapes.append(_shape(each))
    words = tuple(tag.get("label", "") for tag in image.iter("tag"))
    split = split_of_word(image.get("subset", ""))
    return DrawnPicture(pictures.find(said, path), said, path, tuple(shapes), size, words, split)


def _shape(shape: Element) -> Marking:
    facts = shape.attrib
    word, angle = facts["label"], number(facts.get("rotation", 0))
    if shape.tag == "polygon":
        return Outline(word, pairs(facts["points"].replace(";", ",").split(",")))
    if shape.tag == "box":
        left, top, right, bottom = (number(facts[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        middle = ((left + right) / 2, (top + bottom) / 2)
        return turned_box(word, (left, top), (right - left, bottom - top), angle, middle)
    if shape.tag == "ellipse":
        x, y, half_width, half_height = (number(facts[name]) for name in ("cx", "cy", "rx", "ry"))
        return Oval(word, x, y, half_width, half_height, angle)
    if shape.tag == "mask":
        left, top, width, height = (int(float(facts[name])) for name in ("left", "top", "width", "height"))
        if not 0 < width * height <= PIXEL_LIMIT:
            raise ValueError(f"a mask of {width} x {height} pixels")
        return Bitmap.of(word, row_runs([int(run) for run in facts["rle"].split(",")], (height, width)), left, top)
    return Stroke(word)
