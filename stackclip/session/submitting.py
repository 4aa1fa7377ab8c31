"""What a method says of the private pictures of MVTec AD 2, as their authors' server takes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from stackclip.data import Dataset, open_dataset
from stackclip.data.listing import pictures_in
from stackclip.data.names import category_name
from stackclip.errors import DataError, StackclipError, UsageError
from stackclip.inspection.submission import Wanted, problems_of, write_maps
from stackclip.inspection.written import RECORD
from stackclip.layouts.mvtec_ad2 import PRIVATE, categories_of

if TYPE_CHECKING:
    from stackclip.session.session import Session

__all__ = ["check", "submit"]

logger = logging.getLogger("stackclip")

_NAME = "mvtec-ad2"


def submit(session: Session, output: Path, categories: Sequence[str] = (), **words: Any) -> Iterator[str]:
    """Write what a method says of the private pictures of some categories, all by default; a line for each.

    Good pictures are those of `train/good/`; `words` are those of `Session.inspect`. Raises DataError for categories
    or pictures that are not there, UsageError for an output that holds anything, and what an inspection raises.
    """
    folders = _folders(session, categories)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError(f"{output}: is there and not empty, and the server refuses a file too many: name a new folder")
    for category, folder in folders.items():
        with TemporaryDirectory() as scratch:
            maps, threshold = _inspected(session, category, folder, Path(scratch), words)
            write_maps(output, category, maps, threshold)
        said = "" if threshold is None else f", and what is above {threshold:.6g}"
        yield f"{category}: {len(maps)} maps{said}"


def check(session: Session, submission: Path, categories: Sequence[str] = ()) -> Iterator[str]:
    """What the server would refuse in a folder, a line each; raises DataError where the pictures are not there."""
    if not submission.is_dir():
        raise UsageError(f"{submission}: no such folder; name the one that holds anomaly_images/")
    folders = _folders(session, categories)
    wanted: Wanted = {
        category: {split: {path.stem for path in pictures_in(folder / split)} for split in PRIVATE}
        for category, folder in folders.items()
    }
    yield from problems_of(submission, wanted)
    for test in ("private", "private_mixed"):
        if remark := _opened(session, test).remark:
            yield remark


def _opened(session: Session, test: str) -> Dataset:
    data = session.data_root
    return open_dataset(f"{_NAME}[test={test}]", data_root=data, generated=session.workspace.generated)


def _folders(session: Session, categories: Sequence[str]) -> dict[str, Path]:
    """The folders of the categories that are wanted; raises DataError, and UsageError for one that is not there."""
    dataset = _opened(session, "private")
    chosen = dataset.select(categories=categories or None).categories
    folders = {folder.name: folder for folder in categories_of(dataset.root) if folder.name in chosen}
    for folder in folders.values():
        for place in (*PRIVATE, "train/good"):
            if not ((folder / place).is_dir() and pictures_in(folder / place)):
                raise DataError(f"{folder / place}: no pictures; a submission wants {' and '.join(PRIVATE)} and train/")
    return folders


def _inspected(
    session: Session, category: str, folder: Path, scratch: Path, words: Mapping[str, Any]
) -> tuple[dict[Path, Path], float | None]:
    """The maps of the private pictures, by these, and the threshold that good pictures set for a pixel.

    Raises StackclipError where a picture has no map.
    """
    maps: dict[Path, Path] = {}
    thresholds = set()
    for split in PRIVATE:
        logger.info("%s: %s", category, split)
        found = session.inspect(
            folder / split,
            object=category_name(category, style="spaced"),
            good=folder / "train" / "good",
            output=scratch / split,
            **{**words, "maps": "npy"},
        )
        without = [each.picture for each in found if each.heat_map is None]
        if without or not found.whole:
            lacking = f"{without[0]}: no map of it" if without else "; ".join(found.failures) or f"{split} is not whole"
            raise StackclipError(f"{category}: {lacking}, and the server takes all pictures or none")
        maps |= {each.picture: each.heat_map.with_suffix(".npy") for each in found if each.heat_map}
        [place] = {each.heat_map.parent for each in found if each.heat_map}
        thresholds.add(json.loads((place / RECORD).read_text(encoding="utf-8")).get("pixel_threshold"))
    return maps, next(iter(thresholds)) if len(thresholds) == 1 else None
