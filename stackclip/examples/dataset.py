"""A data set in one file: it turns a folder into samples; reading pictures and masks is done elsewhere.

Try it, where DATA is a folder with a `samples.csv`, as the tree below shows it:

    stackclip check picture-list --data-root DATA
    stackclip bench --methods fuzzy --test-on picture-list --data-root DATA
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

SPLITS: dict[str, Literal["train", "test"]] = {"train": "train", "test": "test"}
COLUMNS = ("picture", "category", "split", "defect", "mask")


@datasets.register("picture-list")
class PictureList:
    """Pictures that a table names, a line each: paths below its folder, `good` or the kind of defect, a mask or none.

    `table` is the file's name.
    """

    title = "pictures named in a table"  # what is printed for the layout
    tree = """\
ROOT/samples.csv
    picture,category,split,defect,mask
    left/001.png,left,train,good,
    left/002.png,left,test,good,
    left/003.png,left,test,scratch,masks/003.png
"""

    def __init__(self, *, table: str = "samples.csv") -> None:
        self.table = table

    def recognises(self, root: Path) -> bool:
        """Whether a folder is laid out so; a quick look is enough."""
        return (root / self.table).is_file()

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, in the order of the table. Raises DataError, and nothing else, for what cannot be used."""
        place = root / self.table
        try:
            with place.open(encoding="utf-8-sig", newline="") as file:
                lines = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{place}: {error}") from None
        return tuple(self._sample(f"{place}, line {number}", line, root, name) for number, line in enumerate(lines, 2))

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file that is no sample's belongs to the layout: others are counted as left out."""
        return path == root / self.table

    def _sample(self, where: str, line: dict[str, str], root: Path, name: str) -> Sample:
        picture, category, split, defect, mask = ((line.get(column) or "").strip() for column in COLUMNS)
        if not (picture and category and defect):
            raise DataError(f"{where}: wanted {', '.join(COLUMNS)}, of which the mask alone may be empty")
        if split not in SPLITS:
            raise DataError(f"{where}: the split is {split!r}, wanted {' or '.join(SPLITS)}")
        if not (root / picture).is_file():
            raise DataError(f"{where}: there is no picture {root / picture}")
        return Sample(
            id=picture,  # names the sample for good: the path below the root, with forward slashes
            dataset=name,
            category=category,
            split=SPLITS[split],
            image=root / picture,
            mask=root / mask if mask else None,  # None: normal, or not localised
            label=NORMAL if defect == GOOD else ANOMALOUS,
            defect=defect,
        )
