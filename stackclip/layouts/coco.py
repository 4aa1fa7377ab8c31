"""COCO's annotations: polygons and run-length codes of many pictures in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from stackclip.data.documents import number, pairs, parsing, read_json
from stackclip.data.images import PIXEL_LIMIT
from stackclip.data.lookup import PictureFinder
from stackclip.data.outlines import Bitmap, Marking, Outline, boxed
from stackclip.data.runs import column_runs, packed_counts
from stackclip.errors import DataError
from stackclip.layouts.annotated import AnnotationsInOne
from stackclip.layouts.drawings import DrawnPicture
from stackclip.registry import datasets

__all__ = ["Coco"]

_WANTED = '{"images": [...], "annotations": [...], "categories": [...]} of COCO'


@datasets.register("coco")
class Coco(AnnotationsInOne):
    """COCO: polygons (their union counts), run-length codes, plain or packed, and boxes where there is no more.

    Also what Roboflow, CVAT and Label Studio export as COCO. Numbers of categories may have gaps; an annotation with
    `iscrowd` counts as any other. Codes run down the columns.
    """

    format = "COCO"
    suffixes = (".json",)
    tree = """\
ROOT/
  annotations.json                        (COCO; anywhere below, several: train/_annotations.coco.json)
  *.jpg                                   (anywhere below)
"""

    def drawings(self, files: Sequence[Path], root: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
        """What the files say of each picture that they list; raises DataError."""
        for path in files:
            yield from _listed(path, pictures)


def _listed(path: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
    document = read_json(path)
    with parsing(path, _WANTED):
        words = {each["id"]: str(each["name"]) for each in document.get("categories", ())}
        images = {each["id"]: each for each in document["images"]}
        drawn: dict[Any, list[Any]] = {each: [] for each in images}
        annotations = list(document.get("annotations", ()))
    if len(images) < len(document["images"]):
        raise DataError(f"{path}: two images have one id; wanted {_WANTED}")
    for each in annotations:
        with _annotation(each, path):
            drawn[each["image_id"]].append(each)
    for key, image in images.items():
        with parsing(f"{path}: image {key}", "an id and a file_name"):
            said = str(image["file_name"])
            size = (int(image["height"]), int(image["width"])) if image.get("height") and image.get("width") else None
        yield DrawnPicture(pictures.find(said, path), said, path, tuple(_drawn(drawn[key], words, path)), size)


def _drawn(annotations: Sequence[Any], words: Mapping[Any, str], path: Path) -> Iterator[Marking]:
    """The shapes of all annotations of a picture; raises DataError."""
    for each in annotations:
        with _annotation(each, path):
            shapes = tuple(_shapes(each, words[each["category_id"]]))
        yield from shapes


def _annotation(annotation: Any, path: Path) -> AbstractContextManager[None]:
    wanted = "an image_id and a category_id of the file, and a segmentation"
    return parsing(f"{path}: annotation {_id(annotation)}", wanted)


def _id(annotation: Any) -> Any:
    return annotation.get("id", "without id") if isinstance(annotation, Mapping) else annotation


def _shapes(annotation: Mapping[str, Any], word: str) -> Iterator[Marking]:
    """The polygons, the code or else the box of an annotation."""
    outline = annotation.get("segmentation")
    if isinstance(outline, Mapping):
        yield _bitmap(outline, word)
    elif outline and not isinstance(outline[0], Sequence):  # one polygon without its list, as some write it
        yield Outline(word, pairs(outline))
    elif outline:
        yield from (Outline(word, pairs(ring)) for ring in outline)
    elif annotation.get("bbox"):
        left, top, width, height = map(number, annotation["bbox"])
        yield boxed(word, left, top, left + width, top + height)
    else:
        raise ValueError("neither segmentation nor bbox")


def _bitmap(code: Mapping[str, Any], word: str) -> Bitmap:
    height, width = map(int, code["size"])
    if not 0 < height * width <= PIXEL_LIMIT:
        raise ValueError(f"a code of {height} x {width} pixels")
    counts = code["counts"]
    runs = packed_counts(counts) if isinstance(counts, str) else [int(count) for count in counts]
    return Bitmap.of(word, column_runs(runs, (height, width)))
