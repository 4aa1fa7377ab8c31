"""What a method says of the private pictures of MVTec AD 2, as their authors' server takes it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackclip.data import Dataset, open_dataset
from stackclip.data.listing import pictures_in
from stackclip.data.names import category_name
from stackclip.errors import DataError, StackclipError, UsageError
from stackclip.inspection.submission import MAPS, THRESHOLDED, Wanted, problems_of, write_maps
from stackclip.inspection.written import RECORD
from stackclip.layouts.mvtec_ad2 import PRIVATE, categories_of
from stackclip.ops.drafts import draft_folder

if TYPE_CHECKING:
    from stackclip.session.session import Session

__all__ = ["check", "submit"]

logger = logging.getLogger("stackclip")

_NAME, _GOOD = "mvtec-ad2", "train/good"


def submit(session: Session, output: Path, categories: Sequence[str] = (), **words: Any) -> Iterator[str]:
    """Write what a method says of the private pictures of some categories, all by default; a line for each.

    Good pictures are those of `train/good/`; `words` are those of `Session.inspect`. A category is written as a whole
    or not at all. Raises DataError for categories or pictures that are not there, UsageError for categories that are in
    the output already, and what an inspection raises.
    """
    folders = _folders(session, categories, (*PRIVATE, _GOOD))
    _check_free(output, folders)
    for category, folder in folders.items():
        output.mkdir(parents=True, exist_ok=True)
        beside = Path(os.path.realpath(output)).parent  # of what a link leads to, which may be another disk
        with draft_folder(beside) as scratch:  # some GB, of heat maps too
            maps, threshold = _inspected(session, category, folder, scratch / "maps", words)
            write_maps(scratch, category, maps, threshold)
            for name in (THRESHOLDED, MAPS)[threshold is None :]:
                (output / name).mkdir(exist_ok=True)
                (scratch / name / category).rename(output / name / category)
        said = "" if threshold is None else f", and what is above {threshold:.6g}"
        yield f"{category}: {len(maps)} maps{said}"


def check(session: Session, submission: Path) -> Iterator[str]:
    """What the server would refuse in a folder, a line each; raises DataError where the pictures are not there."""
    if not submission.is_dir():
        raise UsageError(f"{submission}: no such folder; name the one that holds {MAPS}/")
    folders = _folders(session, (), PRIVATE)
    wanted: Wanted = {
        category: {split: {path.stem for path in pictures_in(folder / split)} for split in PRIVATE}
        for category, folder in folders.items()
    }
    yield from problems_of(submission, wanted)
    for test in ("private", "private_mixed"):
        if remark := _opened(session, test).remark:
            yield remark


def _check_free(output: Path, categories: Collection[str]) -> None:
    """Raise UsageError for an output that is no folder, and where a category is in it: by another method, it may be."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file; name a folder that is new")
    there = [category for category in categories for name in (MAPS, THRESHOLDED) if (output / name / category).exists()]
    if there:
        left = ",".join(category for category in categories if category not in there)
        way = f"go on with --category {left}" if left else "it has all that is wanted"
        raise UsageError(f"{output}: holds {', '.join(dict.fromkeys(there))} already: {way}, or name a new folder")


def _opened(session: Session, test: str) -> Dataset:
    data = session.data_root
    return open_dataset(f"{_NAME}[test={test}]", data_root=data, generated=session.workspace.generated)


def _folders(session: Session, categories: Sequence[str], places: Sequence[str]) -> dict[str, Path]:
    """The folders of the categories that are wanted, which have pictures in `places`.

    Raises DataError, and UsageError for a category that is not there.
    """
    dataset = _opened(session, "private")
    chosen = dataset.select(categories=categories or None).categories
    folders = {folder.name: folder for folder in categories_of(dataset.root) if folder.name in chosen}
    for folder in folders.values():
        for place in places:
            if not ((folder / place).is_dir() and pictures_in(folder / place)):
                raise DataError(f"{folder / place}: no pictures; wanted are {', '.join(places)}")
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
            good=folder / _GOOD,
            output=scratch / split,
            **{**words, "maps": "npy"},
        )
        drawn = {each.picture.name: each for each in found if each.heat_map is not None}
        if without := [path for path in pictures_in(folder / split) if path.name not in drawn]:
            why = "; ".join(map(str, (*found.failures, *found.unencoded))) or "see above"
            raise StackclipError(f"{without[0]}: no map of it, and the server takes all pictures or none ({why})")
        maps |= {each.picture: each.heat_map.with_suffix(".npy") for each in drawn.values() if each.heat_map}
        [place] = {each.heat_map.parent for each in found if each.heat_map}
        thresholds.add(json.loads((place / RECORD).read_text(encoding="utf-8")).get("pixel_threshold"))
    return maps, next(iter(thresholds)) if len(thresholds) == 1 else None
