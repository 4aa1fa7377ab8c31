"""VisA as it is published, with its own lists of splits."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from stackclip.data.listing import folders_in
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["Visa"]

_COLUMNS = ("object", "split", "label", "image", "mask")
_LABELS = {"normal": NORMAL, "anomaly": ANOMALOUS}
_SPLITS: dict[str, Literal["train", "test"]] = {"train": "train", "test": "test"}


@datasets.register("visa")
class Visa:
    """VisA, raw: 12 categories, 9621 normal and 1200 anomalous pictures (Zou et al., ECCV 2022).

    `split_csv` names the list in `split_csv/`: `1cls` (train 8659 normal; test 962 normal, 1200 anomalous), or one of
    the two-class lists, whose train split holds anomalous pictures too. Categories whose folder is absent are left out.
    The rearranged layout is `visa-prepared`.
    """

    published = "visa"
    source = "CC BY 4.0, Zou et al., ECCV 2022, github.com/amazon-science/spot-diff"
    size = "one archive, 1.8 GB"
    folders = ("VisA_20220922",)
    tree = """\
ROOT/
  split_csv/1cls.csv                      (object,split,label,image,mask)
  CATEGORY/Data/Images/Normal/NNNN.JPG
  CATEGORY/Data/Images/Anomaly/NNN.JPG
  CATEGORY/Data/Masks/Anomaly/NNN.png
"""

    def __init__(self, *, split_csv: Literal["1cls", "2cls_fewshot", "2cls_highshot"] = "1cls") -> None:
        self.split_csv = split_csv
        self.protocol = "" if split_csv == "1cls" else split_csv
        self.title = f"raw VisA layout ({split_csv})"

    def recognises(self, root: Path) -> bool:
        """Whether `root` has `split_csv/`, or a folder with `Data/Images/`."""
        return (root / "split_csv").is_dir() or any((folder / "Data/Images").is_dir() for folder in folders_in(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, categories in the list's order, then train before test, then by id.

        Raises DataError for a list that is missing or malformed, with the line, and for a path that leaves the root.
        """
        path = root / "split_csv" / f"{self.split_csv}.csv"
        samples = list(_samples(path, root, name))
        rank = {category: place for place, category in enumerate(dict.fromkeys(sample.category for sample in samples))}
        samples.sort(key=lambda sample: (rank[sample.category], sample.split == "test", sample.id))
        present = {category for category in rank if (root / category).is_dir()}
        return tuple(sample for sample in samples if sample.category in present)

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is one of the lists."""
        return path.parent == root / "split_csv" and path.suffix == ".csv"


def _samples(path: Path, root: Path, name: str) -> Iterator[Sample]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if tuple(lines.fieldnames or ()) != _COLUMNS:
                raise DataError(f"{path}: the first line is {lines.fieldnames}; wanted {','.join(_COLUMNS)}")
            seen: set[str] = set()
            for line in lines:
                sample = _sample(line, root, name, where=f"{path}:{lines.line_num}")
                if sample.id in seen:
                    raise DataError(f"{path}:{lines.line_num}: {sample.id} stands there a second time")
                seen.add(sample.id)
                yield sample
    except FileNotFoundError:
        raise DataError(f"{path}: no such list; copy split_csv/ from github.com/amazon-science/spot-diff") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _sample(line: dict[str, str], root: Path, name: str, *, where: str) -> Sample:
    if None in line or None in line.values():
        raise DataError(f"{where}: wanted {len(_COLUMNS)} fields, {','.join(_COLUMNS)}")
    if line["label"] not in _LABELS or line["split"] not in _SPLITS:
        raise DataError(f"{where}: {line['split']},{line['label']}; wanted train or test, then normal or anomaly")
    label = _LABELS[line["label"]]
    category, image, mask = (_inside(line[column], where) for column in ("object", "image", "mask"))
    if "/" in category or not category or not image:
        raise DataError(f"{where}: wanted an object and the path of its image")
    return Sample(
        id=image,
        dataset=name,
        category=category,
        split=_SPLITS[line["split"]],
        image=root / image,
        mask=root / mask if mask and label == ANOMALOUS else None,
        label=label,
        defect=GOOD if label == NORMAL else "anomaly",
    )


def _inside(text: str, where: str) -> str:
    """A path of the list with forward slashes; raises DataError for one that leads out of the root."""
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in text or "\0" in text:
        raise DataError(f"{where}: {text!r} leads out of the data set's folder")
    return path.as_posix() if text else ""
