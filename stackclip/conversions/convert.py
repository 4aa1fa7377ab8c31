"""From a data set to a folder in another form: whole, or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from stackclip.conversions import anomalib, coco, manifest, mvtec
from stackclip.conversions.files import Placer
from stackclip.data import Dataset
from stackclip.data.hints import label_words
from stackclip.errors import DataError, PictureError, StackclipError, UsageError
from stackclip.ops.drafts import draft_folder
from stackclip.ops.named_errors import naming
from stackclip.ops.words import agreed, counted
from stackclip.types import UNLABELLED

__all__ = ["CONVERSIONS", "Conversion", "Converted", "convert"]


class Conversion(Protocol):
    """What writes a data set through `placing`, and gives what is to be said of it, a line each."""

    def __call__(self, dataset: Dataset, placing: Placer) -> list[str]:
        """Write all samples. Raises OSError."""
        ...


CONVERSIONS: MappingProxyType[str, Conversion] = MappingProxyType(
    {
        "mvtec": mvtec.write_mvtec,
        "csv": manifest.write_csv,
        "jsonl": manifest.write_lines,
        "coco": coco.write_coco,
        "anomalib": anomalib.write_anomalib,
    }
)
"""The forms by name."""

_UNLABELLED = ("csv", "jsonl")  # can say that nothing is known


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written into `folder`: how many pictures and masks; `notes` are lines on what the form cannot say.

    `failed` are the pictures that could not be read, which are left out, and those whose mask could not, which have
    none.
    """

    folder: Path
    pictures: int
    masks: int
    notes: tuple[str, ...]
    failed: tuple[PictureError, ...]


def convert(dataset: Dataset, form: str, folder: Path, *, copy: bool = False) -> Converted:
    """Write a data set into a new folder as `mvtec`, `csv`, `jsonl`, `coco` or `anomalib`.

    Pictures are linked to, or with `copy` copied; masks are written anew, 0 and 255 in PNG at their picture's size. The
    folder appears when all of it is written.
    Raises UsageError for another form, StackclipError for a folder that holds something, DataError for pictures without
    labels where the form cannot say so, and OSError.
    """
    if form not in CONVERSIONS:
        raise UsageError(f"--to {form}: wanted one of {', '.join(CONVERSIONS)}")
    unlabelled = sum(sample.defect == UNLABELLED for sample in dataset)
    if unlabelled and form not in _UNLABELLED:
        words = label_words(dataset.root, dataset.layout)
        raise DataError(
            f"{dataset.root}: {counted(unlabelled, 'picture')} {agreed('have', unlabelled)} no labels, which {form} "
            f"cannot say; say which are good: {words}, or take {' or '.join(_UNLABELLED)}"
        )
    with _appearing(folder) as draft:
        placing = Placer(draft, copy=copy)
        notes = CONVERSIONS[form](dataset, placing)
    return Converted(folder, placing.pictures, placing.masks, (*notes, *placing.notes()), tuple(placing.failed))


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A new folder that takes the name `folder` if nothing goes wrong, and else is removed.

    It takes the place of an empty one, or of that to which a link leads, with its permissions.
    """
    folder = Path(os.path.realpath(folder))
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise StackclipError(
            f"{folder}: is there and is not empty; nothing is overwritten: name another folder with -o"
        )
    if folder == Path.cwd() or os.path.ismount(folder):  # which can have no other folder in its place
        raise StackclipError(f"{folder}: is the current folder, or where a disk begins: name a folder in it with -o")
    with draft_folder(folder.parent) as draft:
        yield draft
        with naming(folder):
            if folder.exists():
                shutil.copymode(folder, draft)
                folder.rmdir()
            draft.rename(folder)
