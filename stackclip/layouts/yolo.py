"""YOLO's annotations: a text file for each picture, in shares of its width and height."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml

from stackclip.data.annotations import annotation_format, head_of
from stackclip.data.documents import number, pairs, parsing, read_document
from stackclip.data.images import EXTENSIONS, picture_size
from stackclip.data.labels import GOOD_FOLDERS
from stackclip.data.lookup import PictureFinder
from stackclip.data.outlines import Marking, Outline, boxed
from stackclip.errors import PictureError
from stackclip.layouts.annotated import Annotations
from stackclip.layouts.drawings import DrawnPicture
from stackclip.layouts.rules import Boxes, Splits, Unannotated
from stackclip.registry import datasets

__all__ = ["Yolo"]

_IMAGES, _LABELS = "images", "labels"
_BOX, _SURE_BOX, _CORNERS = 5, 6, 9  # values of a line: class and box; the same and how sure; class and four corners
_WANTED = "lines of a class and x, y, width, height, or a class and the x, y of three corners or more, all 0 to 1"
_FAR = 2.0  # shares of a picture: what is beyond is in pixels, which is another format
_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


@datasets.register("yolo")
class Yolo(Annotations):
    """YOLO: outlines (a class and corners), boxes, and turned boxes; several lines of a picture count together.

    Classes are called as `names` in data.yaml or the lines of classes.txt say. Turned boxes look like outlines of four
    corners: `corners` says which (`outline` or `box`), and `auto` takes them for boxes where no line has more or fewer.
    """

    format = "YOLO"
    suffixes = (".txt",)
    tree = """\
ROOT/
  data.yaml                               (names: of the classes; or classes.txt)
  images/train/STEM.jpg                   (or train/images/, or images/)
  labels/train/STEM.txt                   (the same with labels; or beside the picture)
"""

    def __init__(
        self,
        *,
        category: str | None = None,
        good: tuple[str, ...] = GOOD_FOLDERS,
        unannotated: Unannotated = "unlabelled",
        boxes: Boxes = "label",
        split: Splits = "folders",
        corners: Literal["auto", "outline", "box"] = "auto",
    ) -> None:
        super().__init__(category=category, good=good, unannotated=unannotated, boxes=boxes, split=split)
        self.corners = corners

    def is_own(self, path: Path) -> bool:
        """Whether a text file lies where that of a picture does, and is in `labels/`, begins with a number or is empty.

        So a line that is wrong is named, and does not make its picture one without annotations. One whose picture is
        not there has to have such lines.
        """
        if _picture_of(path) is None:
            return super().is_own(path)
        words = head_of(path).split(maxsplit=1)
        return _LABELS in path.parts or not words or words[0].replace(".", "", 1).isdecimal()

    def recognises(self, root: Path) -> bool:
        """Whether a file near `root` has such lines; empty ones tell nothing."""
        return super().recognises(root) and any(annotation_format(path) == self.format for path in self.files(root))

    def drawings(self, files: Sequence[Path], root: Path, pictures: PictureFinder) -> Iterator[DrawnPicture]:
        """What each file says of its picture; raises DataError."""
        images = {path: image for path in files if (image := _picture_of(path))}
        lines = {path: _lines(path) for path in images}
        lengths = {len(line) for each in lines.values() for line in each} - {_BOX, _SURE_BOX}
        as_box = self.corners == "box" or (self.corners == "auto" and lengths == {_CORNERS})
        note = ""
        if as_box and _CORNERS in lengths:
            note = "lines of four corners are taken for turned boxes; corners=outline says that they are outlines"
        names = _names(root)
        yield from (DrawnPicture(None, path.name, path, ()) for path in files if path not in images)
        for path, image in images.items():
            size = _size(image)
            shapes = [_shape(line, names, size or (1, 1), as_box=as_box) for line in lines[path]]
            words = () if size else tuple(shape.word for shape in shapes)
            yield DrawnPicture(image, path.name, path, tuple(shapes) if size else (), size, words, note=note)

    def used(self, files: Sequence[Path], root: Path) -> frozenset[Path]:
        """The files that were read, and those of the names of classes."""
        return frozenset(files) | frozenset(_files_of_names(root)[:1])


def _picture_of(path: Path) -> Path | None:
    """The picture of a text file: beside it, or in `images/` where it is in `labels/`."""
    places = [path.parent]
    for place, part in enumerate(path.parts):
        if part == _LABELS:
            places.append(Path(*path.parts[:place], _IMAGES, *path.parts[place + 1 : -1]))
    names = [f"{path.stem}{case(suffix)}" for suffix in EXTENSIONS for case in (str.lower, str.upper)]
    return next((place / name for place in places for name in names if (place / name).is_file()), None)


def _size(image: Path) -> tuple[int, int] | None:
    """The size of a picture; None where it cannot be read, which is said where it is."""
    try:
        return picture_size(image)
    except PictureError:
        return None


def _lines(path: Path) -> list[list[float]]:
    """The numbers of each line."""
    found = []
    text = read_document(path).decode("utf-8-sig", "replace")
    for place, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        with parsing(f"{path}:{place}", _WANTED):
            values = [number(word) for word in line.split()]
            if len(values) not in (_BOX, _SURE_BOX) and (len(values) < 7 or len(values) % 2 == 0):
                raise ValueError(f"{len(values)} numbers")
            if values[0] != int(values[0]) or max(map(abs, values[1:])) > _FAR:
                raise ValueError("no class, or places beyond the picture")
            found.append(values)
    return found


def _shape(line: Sequence[float], names: Mapping[int, str], size: tuple[int, int], *, as_box: bool) -> Marking:
    height, width = size
    word = names.get(int(line[0]), f"class {int(line[0])}")
    if len(line) in (_BOX, _SURE_BOX):
        x, y, half_width, half_height = line[1] * width, line[2] * height, line[3] * width / 2, line[4] * height / 2
        return boxed(word, x - half_width, y - half_height, x + half_width, y + half_height)
    corners = tuple((x * width, y * height) for x, y in pairs(line[1:]))
    return Outline(word, corners, is_box=as_box and len(line) == _CORNERS)


def _names(root: Path) -> dict[int, str]:
    """The names of the classes by number; empty where no file says them. Raises DataError."""
    files = _files_of_names(root)
    if not files:
        return {}
    with parsing(files[0], "names: a list of classes, or a number and a class on each line"):
        text = read_document(files[0]).decode("utf-8-sig")
        if files[0].suffix == ".txt":
            return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
        try:
            names = yaml.safe_load(text)["names"]
        except yaml.YAMLError as error:
            raise ValueError(f"not YAML ({error})") from None
        pairs_of = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(key): str(name) for key, name in pairs_of}


def _files_of_names(root: Path) -> list[Path]:
    """Files that name the classes: YAML files at the root with `names:`, the usual ones first, then classes.txt."""
    held = sorted(path for path in root.iterdir() if path.suffix in (".yaml", ".yml") and "names:" in head_of(path))
    usual = sorted(held, key=lambda path: path.name not in _NAMES)
    lists = (place / "classes.txt" for place in (root, root / _LABELS))
    return [*usual, *(path for path in lists if path.is_file())]
