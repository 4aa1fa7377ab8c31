"""Lists of pictures with all that is known of them: a table, or a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from stackclip.conversions.files import Placer, folder_names, in_folders, picture_places
from stackclip.data import Dataset
from stackclip.ops.spreadsheet import csv_text
from stackclip.types import UNLABELLED, Sample

__all__ = ["write_csv", "write_lines"]

_COLUMNS = ("image", "label", "mask", "split", "category", "defect")


def write_csv(dataset: Dataset, placing: Placer) -> list[str]:
    """`manifest.csv` beside `images/` and `masks/`; paths are relative to it, label 0 is normal and 1 anomalous."""
    placing.text("manifest.csv", csv_text(_COLUMNS, _rows(dataset, placing)))
    return []


def write_lines(dataset: Dataset, placing: Placer) -> list[str]:
    """`manifest.jsonl`, as `manifest.csv` is; what is not known is null."""
    lines = (json.dumps(dict(zip(_COLUMNS, row, strict=True)), ensure_ascii=False) for row in _rows(dataset, placing))
    placing.text("manifest.jsonl", "".join(f"{line}\n" for line in lines))
    return []


def _rows(dataset: Dataset, placing: Placer) -> Iterator[tuple[str | int | None, ...]]:
    categories = folder_names(dataset.categories)

    def folder_of(sample: Sample) -> str:
        return f"images/{in_folders(sample, categories)}"

    for sample, place in picture_places(dataset, folder_of).items():
        if placing.picture(sample, place):
            mask = PurePosixPath("masks", *PurePosixPath(place).parts[1:]).with_suffix(".png").as_posix()
            known = sample.defect != UNLABELLED
            written = mask if placing.mask(sample, mask) else None
            said = (sample.label if known else None, written, sample.split, sample.category)
            yield place, *said, sample.defect if known else None
