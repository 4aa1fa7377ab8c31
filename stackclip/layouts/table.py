"""Tables that name pictures, their labels and masks: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from stackclip.data.interpretation import Interpretation
from stackclip.data.labels import GOOD_FOLDERS
from stackclip.data.listing import pictures_below, place_below
from stackclip.data.manifests import MANIFESTS, columns_of, lines_of
from stackclip.errors import DataError
from stackclip.layouts.columns import Columns
from stackclip.layouts.entries import Places, TableRow, found_pictures
from stackclip.layouts.splits import split_named, tested
from stackclip.layouts.surroundings import photographs
from stackclip.ops.words import agreed, counted, one_line
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample

__all__ = ["Table"]

_SHALLOWEST = 2  # parts of a folder that is walked because a table elsewhere names pictures in it


@datasets.register("table")
class Table:
    """A table of pictures: CSV, TSV, JSON lines or Parquet, a row for each picture; the path of one may be typed too.

    `image`, `label`, `mask`, `split`, `category` and `defect` name columns; the usual names are found, and `mask=` with
    nothing behind it says that there is none. A label is good where it is one of `good`, 0, false or no, and else the
    defect's name. Without a column of labels a mask makes a defect, and a row without one is good; with neither, rows
    are unlabelled, whatever their split. Paths go from the table, or are found by their last parts. `file` is the
    table, where there are several.
    """

    title = "table"
    named_by_folder = True
    tree = """\
ROOT/
  list.csv                                (image,label,mask,split,category; also .tsv, .jsonl, .parquet)
  *.png                                   (anywhere, as the table says)
"""

    def __init__(
        self,
        *,
        image: str | None = None,
        label: str | None = None,
        mask: str | None = None,
        split: str | None = None,
        category: str | None = None,
        defect: str | None = None,
        good: tuple[str, ...] = GOOD_FOLDERS,
        file: str | None = None,
    ) -> None:
        asked = {"image": image, "label": label, "mask": mask, "split": split, "category": category, "defect": defect}
        self.asked = asked
        self.good = good
        self.file = file

    def recognises(self, root: Path) -> bool:
        """Whether a table in `root` has a column of pictures, or the one that was named is there."""
        return (root / self.file).is_file() if self.file is not None else bool(self._tables(root))

    def detects(self, root: Path) -> bool:
        """Whether a table in `root` has columns of pictures and of labels, masks or splits, and names what is there."""
        return any(self._names_pictures(path) for path in self._tables(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples in the order of the table; raises DataError."""
        return self.understand(root, name).samples

    def understand(self, root: Path, name: str, folder: Path | None = None) -> Interpretation:
        """All samples in the order of the table; nothing is written. Raises DataError, BadOption for a column."""
        files = self._tables(root)
        if not files:
            return Interpretation((), root)
        if len(files) > 1 and not all(split_named((path.stem,)) for path in files):
            names = ", ".join(path.name for path in files)
            raise DataError(f"{root}: several tables ({names}): type the path of one, or table[file={files[0].name}]")
        entries = [entry for path in files for entry in self._entries(path)]
        pictures = found_pictures(entries, Places(lambda: photographs(root)))
        masks = Places(lambda: {*pictures_below(root)}.difference(pictures))
        top = _top(root, pictures)
        read = [self._sample(entry, image, masks, top, name) for entry, image in zip(entries, pictures, strict=True)]
        samples, note = tested(read)
        found = (masks.find(entry.cell("mask"), entry) for entry in entries if entry.cell("mask"))
        used = frozenset((*files, *(path for path in found if path)))
        return Interpretation(tuple(samples), top, used, f" ({entries[0].columns})", (*_notes(entries, samples), *note))

    def _entries(self, path: Path) -> list[TableRow]:
        """The rows of a table; raises DataError for one without any, or without a column of pictures."""
        lines, names = [*lines_of(path)], columns_of(path)
        columns = Columns.of(names, self.asked, path)
        if not columns.image:
            known = f"no column of pictures among {', '.join(names)}"
            raise DataError(f"{path}: {known}; name it, and that of labels: '{path}[image=COLUMN,label=COLUMN]'")
        entries = [TableRow(line, columns, path) for line in lines]
        if not entries:
            raise DataError(f"{path}: holds no row")
        return entries

    def _tables(self, root: Path) -> list[Path]:
        """The table that was named, or all in the root that have a column of pictures; raises DataError."""
        if self.file is not None:
            if not (root / self.file).is_file():
                raise DataError(f"{root / self.file}: no such table; file= names one in {root}")
            return [root / self.file]
        held = sorted(path for path in root.iterdir() if path.suffix.lower() in MANIFESTS and path.is_file())
        return [path for path in held if not path.name.startswith(".") and self._has_pictures(path)]

    def _has_pictures(self, path: Path) -> bool:
        try:
            names = columns_of(path)
        except DataError:  # what needs a library that is not there, or is damaged, is not taken for the layout
            return False
        return bool(self.asked["image"] in names or Columns.of(names, {}, path).image)

    def _names_pictures(self, path: Path) -> bool:
        found = Columns.of(columns_of(path), {}, path)
        if not (found.label or found.mask or found.split):
            return False
        try:
            first = next(lines_of(path), None)
            entry = TableRow(first, found, path) if first else None
            return (
                entry is not None
                and Places(lambda: photographs(path.parent)).find(entry.cell("image"), entry) is not None
            )
        except DataError:
            return False

    def _sample(self, entry: TableRow, image: Path, masks: Places, root: Path, name: str) -> Sample:
        defect = entry.defect(self.good)
        anomalous = defect not in (GOOD, UNLABELLED)
        mask = entry.cell("mask") if anomalous else ""
        return Sample(
            id=place_below(image, root),
            dataset=name,
            category=one_line(entry.cell("category")) or root.name,
            split=entry.split(),
            image=image,
            mask=(masks.find(mask, entry) or entry.file.parent / mask) if mask else None,
            label=ANOMALOUS if anomalous else NORMAL,
            defect=defect,
        )


def _top(folder: Path, pictures: Sequence[Path]) -> Path:
    """The folder that all pictures lie below: the table's, or else the deepest. Raises DataError where that is all."""
    if all(path.is_relative_to(folder) for path in pictures):
        return folder
    top = Path(os.path.commonpath([path.parent for path in pictures]))
    if len(top.parts) <= _SHALLOWEST:
        raise DataError(f"{folder}: its table names pictures all over {top}; wanted one folder that holds them")
    return top


def _notes(entries: Sequence[TableRow], samples: Sequence[Sample]) -> Iterator[str]:
    """What a person should know: rows of which nothing is known, and masks of good pictures."""
    unlabelled = sum(sample.defect == UNLABELLED for sample in samples)
    if unlabelled:
        said = "an empty label" if entries[0].columns.label else "neither label nor mask"
        yield f"{counted(unlabelled, 'row')} {agreed('have', unlabelled)} {said}: unlabelled; label= names a column"
    masked = sum(bool(entry.cell("mask")) for entry, each in zip(entries, samples, strict=True) if each.defect == GOOD)
    if masked:
        yield f"{counted(masked, 'good picture')} {agreed('have', masked)} a mask in the table, which is not counted"
