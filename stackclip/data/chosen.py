"""Lists of the pictures to train on, one JSON object a line: the form in which AA-CLIP reads its few-shot sets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stackclip.data.dataset import Dataset
from stackclip.errors import DamagedFile, DataError
from stackclip.ops.files import expanded
from stackclip.ops.seals import read_regular
from stackclip.types import ANOMALOUS, NORMAL, Sample

__all__ = ["listed_samples"]

logger = logging.getLogger(__name__)

_LARGEST = 1 << 28
_PATHS = ("image_path", "img_path", "image", "path")  # what lists of the field call a picture's place
_LABELS = ("label", "anomaly")
_WANTED = 'wanted one JSON object a line, {"image_path": "candle/Data/Images/Normal/0000.JPG", "label": 0}'


@dataclass(frozen=True, slots=True)
class _Line:
    """Where a line stands, the picture that it names, and the label that it gives it, if any."""

    at: str
    place: PurePosixPath
    label: int | None


def listed_samples(path: Path, datasets: Iterable[Dataset]) -> tuple[Sample, ...]:
    """The samples that a list names, of any split, in the order of their data sets.

    A picture is named by `image_path` as far as it is needed: its place below a data set's root, or below a folder that
    holds it. Labels, where a line has one, must be those of the data set, which has the masks too.
    Raises DataError for a file that is no such list, and for a line that names no picture, several, or one twice.
    """
    every = [sample for dataset in datasets for sample in dataset.samples]
    by_name: dict[str, list[Sample]] = {}
    for sample in every:
        by_name.setdefault(PurePosixPath(sample.id).name, []).append(sample)
    found: dict[Sample, str] = {}
    for line in _lines(expanded(str(path))):
        sample = _the_one(line, by_name)
        if sample in found:
            raise DataError(f"{line.at}: {line.place} is named before, in {found[sample].rpartition(': ')[2]}")
        if line.label is not None and line.label != sample.label:
            raise DataError(
                f"{line.at}: {line.place} has the label {line.label}, and {sample.label} in {sample.dataset}: this is "
                "the list of another preparation of it"
            )
        found[sample] = line.at
    if not found:
        raise DataError(f"{path}: names no picture; {_WANTED}")
    if len(labels := {sample.label for sample in found}) == 1:
        kind, other = ("normal", "anomalous") if NORMAL in labels else ("anomalous", "normal")
        logger.warning("%s: all %d pictures are %s: no method can learn %s ones from it", path, len(found), kind, other)
    return tuple(sample for sample in every if sample in found)


def _the_one(line: _Line, by_name: dict[str, list[Sample]]) -> Sample:
    """The sample that a line names."""
    alike = by_name.get(line.place.name, [])
    found = [sample for sample in alike if _ends_alike(PurePosixPath(sample.id).parts, line.place.parts)]
    if len(found) == 1:
        return found[0]
    if found:
        both = " and ".join(sample.key for sample in found[:2])
        raise DataError(f"{line.at}: {line.place} may be {both}: name more of its path")
    near = f"; {alike[0].key} has its name, in another folder" if alike else ""
    raise DataError(f"{line.at}: no picture {line.place} in what is trained on{near}")


def _ends_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the shorter of two paths is the end of the longer."""
    least = min(len(one), len(other))
    return one[-least:] == other[-least:]


def _lines(path: Path) -> Iterator[_Line]:
    try:
        text = read_regular(path, largest=_LARGEST).decode("utf-8-sig")
    except DamagedFile as error:
        raise DataError(f"{path}: cannot be read ({error.why(path)}); {_WANTED}") from None
    except ValueError as error:
        raise DataError(f"{path}: is no text ({error}); {_WANTED}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _read(f"{path}: line {number}", line)


def _read(at: str, line: str) -> _Line:
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{at}: is not JSON ({error}); {_WANTED}") from None
    place = _first(facts, _PATHS) if isinstance(facts, dict) else None
    if not isinstance(place, str) or not place.strip():
        raise DataError(f"{at}: names no picture by {', '.join(_PATHS)}; {_WANTED}")
    label = _first(facts, _LABELS)
    if label is not None and label not in (NORMAL, ANOMALOUS):
        raise DataError(f"{at}: the label is {label!r}; wanted {NORMAL} (normal) or {ANOMALOUS} (anomalous)")
    parts = (part for part in PurePosixPath(place.strip().replace("\\", "/")).parts if part not in (".", "/"))
    return _Line(at, PurePosixPath(*parts), None if label is None else int(label))


def _first(facts: dict[str, Any], names: Iterable[str]) -> Any:
    return next((facts[name] for name in names if name in facts), None)
