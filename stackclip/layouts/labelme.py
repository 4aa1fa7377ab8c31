"""LabelMe's annotations: a JSON file for each picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from math import dist
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data.documents import number, parsing, read_json
from stackclip.data.images import PIXEL_LIMIT
from stackclip.data.lookup import PictureFinder, path_parts
from stackclip.data.outlines import Bitmap, Marking, Outline, Oval, Position, Stroke, boxed
from stackclip.layouts.annotated import Annotations
from stackclip.layouts.drawings import DrawnPicture
from stackclip.registry import datasets

__all__ = ["LabelMe"]

_STROKES = ("line", "linestrip", "point", "points")
_WANTED = '{"shapes": [{"label", "points", "shape_type"}], "imagePath"} of LabelMe'


@datasets.register("labelme")
class LabelMe(Annotations):
    """LabelMe: polygons, circles, masks and rectangles; a picture's JSON lies beside it or names it.

    LabelMe shows pictures upright and draws on them so. The picture that may lie in the file itself is not read.
    """

    format = "LabelMe"
    suffixes = (".json",)
    tree = """\
ROOT/                                     (and folders below it)
  STEM.jpg
  STEM.json                               (LabelMe's)
"""

    def drawings(self, files: Sequence[Path], root: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
        """What each file says of its picture; raises DataError."""
        for path in files:
            yield _drawn(path, pictures)


def _drawn(path: Path, pictures: PictureFinder) -> DrawnPicture:
    document = read_json(path)
    with parsing(path, _WANTED):
        said = str(document.get("imagePath") or "")
        height, width = document.get("imageHeight"), document.get("imageWidth")
        size = (int(height), int(width)) if height and width else None
        flags = document.get("flags") or {}
        words = tuple(str(word) for word, is_set in flags.items() if is_set is True)
        every = list(document["shapes"])
    shapes = []
    for place, each in enumerate(every):
        with parsing(f"{path}: shape {place + 1}", "label, points and a shape_type of LabelMe"):
            shapes.append(_shape(each))
    image = pictures.find(said, path) if path_parts(said) else None
    return DrawnPicture(image or pictures.beside(path, path.stem), said or path.name, path, tuple(shapes), size, words)


def _shape(shape: Mapping[str, Any]) -> Marking:
    word, kind = str(shape["label"]), shape.get("shape_type") or "polygon"
    points: list[Position] = [(number(x), number(y)) for x, y in shape["points"]]
    if kind in _STROKES:
        return Stroke(word)
    if kind == "mask":
        (left, top), _ = points
        return Bitmap.of(word, _patch(shape["mask"]), round(left), round(top))
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return boxed(word, left, top, right, bottom)
    if kind == "circle":
        centre, rim = points
        return Oval(word, *centre, dist(centre, rim), dist(centre, rim))
    if kind in ("rectangle", "oriented_rectangle"):
        return Outline(word, tuple(points), is_box=True)
    if kind == "polygon" and points:
        return Outline(word, tuple(points))
    raise ValueError(f"a {kind} of {len(points)} points")


def _patch(text: str) -> NDArray[np.bool_]:
    """The pixels (height, width) of a PNG in base64; raises ValueError."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text)), formats=("PNG",)) as picture:
            if picture.width * picture.height > PIXEL_LIMIT:
                raise ValueError(f"a mask of {picture.width} x {picture.height} pixels")
            return np.asarray(picture.convert("L")) > 0
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("a mask that is no PNG in base64") from None
