"""Label Studio's own JSON: tasks with polygons, brushes and rectangles in per cent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stackclip.data.documents import number, parsing, read_json
from stackclip.data.images import PIXEL_LIMIT
from stackclip.data.lookup import PictureFinder
from stackclip.data.outlines import Bitmap, Marking, Outline, Oval, Stroke, turned_box
from stackclip.data.runs import brush_pixels
from stackclip.layouts.annotated import AnnotationsInOne
from stackclip.layouts.drawings import DrawnPicture
from stackclip.registry import datasets

__all__ = ["LabelStudio"]

_WANTED = '[{"data": {"image"}, "annotations": [{"result": [...]}]}] of Label Studio (JSON, not JSON-MIN)'
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?P<name>.+)")  # what Label Studio puts before the name of a file
_PICTURE = re.compile(r"\.(png|jpe?g|bmp|tiff?|webp)\b", re.IGNORECASE)


@datasets.register("label-studio")
class LabelStudio(AnnotationsInOne):
    """Label Studio (JSON): polygons, brushes, ellipses, rectangles, and choices of whole pictures.

    What several annotators drew of a picture counts together; what was cancelled or skipped, and predictions, do not.
    """

    format = "Label Studio"
    suffixes = (".json",)
    tree = """\
ROOT/
  export.json                             (Label Studio's JSON)
  *.jpg                                   (anywhere below)
"""

    def drawings(self, files: Sequence[Path], root: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
        """What each file says of the picture of each of its tasks; raises DataError."""
        for path in files:
            document = read_json(path)
            with parsing(path, _WANTED):
                tasks = [(str(_picture(task["data"])), _results(task)) for task in document]
            for said, results in tasks:
                with parsing(f"{path}: {said}", "results of Label Studio, with their value and labels"):
                    yield _drawn(said, results, path, pictures)


def _picture(data: Mapping[str, Any]) -> str:
    """The value of a task that names its picture: `image`, or the first that ends as one."""
    texts = [value for key, value in sorted(data.items(), key=lambda item: item[0] != "image")]
    named = [text for text in texts if isinstance(text, str) and _PICTURE.search(text)]
    if not named:
        raise ValueError("a task whose data name no picture")
    return named[0]


def _results(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    kept = (each for each in task["annotations"] if not each.get("was_cancelled"))
    return [result for each in kept for result in each["result"]]


def _drawn(said: str, results: Sequence[Mapping[str, Any]], path: Path, pictures: PictureFinder) -> DrawnPicture:
    shapes, words, sizes = [], list[str](), set[tuple[int, int]]()
    for each in results:
        kind, value = str(each["type"]), each["value"]
        labels = [str(word) for word in value.get(kind, ()) or ()]
        if kind == "choices":
            words += labels
        elif kind.removesuffix("labels") in _READERS:
            size = (int(each["original_height"]), int(each["original_width"]))
            if not 0 < size[0] * size[1] <= PIXEL_LIMIT:
                raise ValueError(f"a picture of {size[1]} x {size[0]} pixels")
            sizes.add(size)
            shapes += [_READERS[kind.removesuffix("labels")](word, value, size) for word in labels or ["unnamed"]]
    if len(sizes) > 1:
        raise ValueError(f"a picture of {len(sizes)} sizes")
    return DrawnPicture(_found(said, path, pictures), said, path, tuple(shapes), next(iter(sizes), None), tuple(words))


def _found(said: str, path: Path, pictures: PictureFinder) -> Path | None:
    """The picture of a task, by its address, by the path in it (`?d=`), and without what an upload put before it."""
    address = urlsplit(said) if "\\" not in said else None
    held = (parse_qs(address.query).get("d") or [unquote(address.path)])[0] if address else said
    if found := pictures.find(held, path):
        return found
    name = _UPLOADED.fullmatch(re.split(r"[\\/]", held)[-1])
    return pictures.find(name["name"], path) if name else None


def _polygon(word: str, value: Mapping[str, Any], size: tuple[int, int]) -> Marking:
    height, width = size
    return Outline(word, tuple((number(x) * width / 100, number(y) * height / 100) for x, y in value["points"]))


def _rectangle(word: str, value: Mapping[str, Any], size: tuple[int, int]) -> Marking:
    height, width = size
    corner = (number(value["x"]) * width / 100, number(value["y"]) * height / 100)
    sides = (number(value["width"]) * width / 100, number(value["height"]) * height / 100)
    return turned_box(word, corner, sides, number(value.get("rotation") or 0), corner)


def _ellipse(word: str, value: Mapping[str, Any], size: tuple[int, int]) -> Marking:
    height, width = size
    x, half_width = (number(value[name]) * width / 100 for name in ("x", "radiusX"))
    y, half_height = (number(value[name]) * height / 100 for name in ("y", "radiusY"))
    return Oval(word, x, y, half_width, half_height, number(value.get("rotation") or 0))


def _brush(word: str, value: Mapping[str, Any], size: tuple[int, int]) -> Marking:
    if value.get("format") != "rle":
        raise ValueError(f"a brush in the format {value.get('format')!r}")
    return Bitmap.of(word, brush_pixels(value["rle"], size))


def _point(word: str, value: Mapping[str, Any], size: tuple[int, int]) -> Marking:
    return Stroke(word)


_READERS = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "ellipse": _ellipse,
    "brush": _brush,
    "keypoint": _point,
    "vector": _point,
}
