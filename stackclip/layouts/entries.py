"""What a row of a table says of its picture: where it is, its split, and whether it is good."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stackclip.data.labels import GOOD_FOLDERS, is_good, may_be_good
from stackclip.data.lookup import PictureFinder, path_parts
from stackclip.data.manifests import ManifestLine
from stackclip.data.naming import absolute
from stackclip.errors import DataError
from stackclip.layouts.columns import Columns
from stackclip.layouts.rules import defect_name
from stackclip.layouts.splits import split_named
from stackclip.types import GOOD, UNLABELLED, Split

__all__ = ["Places", "TableRow", "found_pictures"]

_NO = ("false", "no", "f", "n")
_YES = ("true", "yes", "t", "y")
_EITHER = ("positive", "positives", "pos")
_UNNAMED = "defect"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row, the columns of its table, and the table."""

    line: ManifestLine
    columns: Columns
    file: Path

    @property
    def where(self) -> str:
        """The table and the line."""
        return self.line.where

    def cell(self, role: str) -> str:
        """What stands in the column of a role; empty where nothing does."""
        return self.line.cells.get(getattr(self.columns, role), "")

    def split(self) -> Split:
        """The split that its cell names, or else its table's name; raises DataError for another word."""
        cell = self.cell("split")
        split = split_named((cell,)) if cell else split_named((self.file.stem,))
        if cell and split is None:
            raise DataError(f"{self.where}: the split {cell!r}; wanted train, val or test")
        return split or "test"

    def defect(self, good: tuple[str, ...]) -> str:
        """GOOD, UNLABELLED or the name of a defect; raises DataError for a label that may mean either."""
        label, named = self.cell("label"), self.cell("defect")
        if label:
            return self._labelled(label, named, good)
        if named:
            return GOOD if is_good(named, good) else defect_name(named)
        if self.cell("mask"):
            return _UNNAMED
        tells = not self.columns.label and (self.columns.mask or self.columns.defect)
        return GOOD if tells else UNLABELLED

    def _labelled(self, label: str, named: str, good: tuple[str, ...]) -> str:
        if _says_good(label, good):
            return GOOD
        if good == GOOD_FOLDERS and _says_either(label):
            raise DataError(f"{self.where}: the label {label!r} may mean either; table[good=WORD] names the good ones")
        if named and not is_good(named, good):
            return defect_name(named)
        return _UNNAMED if _number(label) == 1 or label.casefold() in _YES else defect_name(label)


class Places:
    """Where the files lie that a table names: as it says, from its own folder, or else some of `files` by their ends.

    Masks often have the names of their pictures, so each is looked for among its own kind.
    """

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        self._files = files

    def find(self, text: str, entry: TableRow) -> Path | None:
        """The file that an entry calls `text`, or None; raises DataError where it could be several."""
        path = entry.file.parent / text.replace("\\", os.sep)
        try:
            if path.is_file() or path.is_dir():
                return absolute(path)
        except (OSError, ValueError):
            return None
        return self._below.find(text, entry.file) if path_parts(text) else None

    @cached_property
    def _below(self) -> PictureFinder:
        return PictureFinder(self._files())


def found_pictures(entries: Sequence[TableRow], places: Places) -> list[Path]:
    """The picture of each entry; raises DataError for one that is not there, or has two entries."""
    seen: dict[Path, str] = {}
    for entry in entries:
        text = entry.cell("image")
        path = places.find(text, entry) if text else None
        if path is None or not path.is_file():
            raise DataError(f"{entry.where}: no picture {text!r}; wanted a path from {entry.file.parent} or below it")
        if path in seen:
            raise DataError(f"{entry.where}: {path} stands in {seen[path]} too; wanted one row for each picture")
        seen[path] = entry.where
    return list(seen)


def _says_good(label: str, good: tuple[str, ...]) -> bool:
    value = _number(label)
    if good != GOOD_FOLDERS:
        return any(_number(word) == value for word in good) if value is not None else is_good(label, good)
    return value == 0 or is_good(label) or label.casefold() in _NO


def _says_either(label: str) -> bool:
    value = _number(label)
    return value < 0 if value is not None else may_be_good(label) or label.casefold() in _EITHER


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
