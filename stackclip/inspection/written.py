"""The folders of predictions: one a method, with the scores of its pictures and the names of their heat maps."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from stackclip.errors import DamagedFile, StackclipError
from stackclip.inspection.sheet import Scale
from stackclip.ops.files import write_atomically
from stackclip.ops.outputs import folder_name, is_output, is_unique_name, mark_output
from stackclip.ops.seals import read_regular
from stackclip.ops.spreadsheet import csv_text
from stackclip.ops.words import agreed, counted
from stackclip.types import Sample

__all__ = ["Written", "check_folders", "keep_scores", "name_earlier"]

logger = logging.getLogger(__name__)

SCORES = "scores.csv"
_DRAWN = ("heat_map", "parts")  # columns that name files
_LARGEST = 1 << 28  # bytes of such a table; one of a million pictures has about 1e8


@dataclass
class Written:
    """What was kept of a method in `place`; `missing` are the pictures of which something could not be kept.

    `names` are the file names of the heat maps, without extension, by the ids of the pictures. `components` are what
    the scores are made of, by name. With `has_parts` the parts that the method found in each picture are drawn too.
    """

    method: str
    place: Path
    names: Mapping[str, str]
    samples: Sequence[Sample] = ()
    scores: Tensor | None = None
    peaks: Tensor | None = None
    components: Mapping[str, Tensor] = field(default_factory=dict)
    scale: Scale | None = None
    has_parts: bool = False
    missing: set[str] = field(default_factory=set)
    error: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing of it is missing."""
        return not self.error and not self.missing

    def heat_map_of(self, sample: Sample) -> str:
        """The file name of a picture's heat map."""
        return f"{self.names[sample.id]}.png"

    def parts_of(self, sample: Sample) -> str:
        """The file name of the parts of a picture; no heat map is called so."""
        return f"{self.names[sample.id]}.parts.png"

    def __str__(self) -> str:
        if not self.samples:
            return f"{self.method}: {self.error}"
        kinds = {"scores": self.scores is not None, "heat maps": self.peaks is not None, "parts": self.has_parts}
        given = " and ".join(kind for kind, there in kinds.items() if there).replace(
            " and ", ", ", sum(kinds.values()) - 2
        )
        scaled = f", on the scale of {self.scale.of}" if self.scale else ""
        lost = f"; {counted(len(self.missing), 'picture')} failed"
        return (
            f"{self.method}: {given} of {counted(len(self.samples), 'picture')} in {self.place}{scaled}"
            + (lost if self.missing else "")
            + (f"; {self.error}" if self.error else "")
        )


def check_folders(methods: Sequence[str], output: Path) -> None:
    """Raise StackclipError where a method's folder in `output` holds what stackclip did not write."""
    for method in methods:
        place = output / folder_name(method)
        if place.exists() and not (place.is_dir() and (is_output(place) or not any(place.iterdir()))):
            raise StackclipError(
                f"{place}: is there and was not written by stackclip, so {method} would mix its files with those in it;"
                " name another folder with -o, or move it away"
            )


def keep_scores(written: Written, *, again: bool = False) -> None:
    """Write the scores, at first in place of all that an earlier run left; what is in the way is the `error`."""
    try:
        if not _holds_anything(written.place.parent):
            mark_output(written.place.parent)  # an empty folder is all ours; one of others is not hidden
        mark_output(written.place)
        if not again:
            _clear(written.place)
        write_atomically(written.place / SCORES, _table(written).encode())
    except OSError as error:
        written.error = f"not kept: {error}"
        written.samples, written.scale, written.has_parts = (), None, False


def _table(written: Written) -> str:
    """Pictures by score, or by the maximum of the map where a method gives no scores; the highest first.

    What scores are made of stands behind what was drawn, `score_NAME`.
    """

    def rows() -> Iterator[tuple[Any, ...]]:
        for row, sample in enumerate(written.samples):
            there = sample.id not in written.missing
            heat_map = written.heat_map_of(sample) if there and written.peaks is not None else ""
            parts = [written.parts_of(sample) if there else ""] if written.has_parts else []
            components = (float(component[row]) for component in written.components.values())
            yield sample.id, _of(written.scores, row), _of(written.peaks, row), heat_map, *parts, *components

    ranked = sorted(rows(), key=lambda row: -next((number for number in row[1:3] if number is not None), 0.0))
    names = (f"score_{name}" for name in written.components)
    return csv_text(["picture", "score", "map_maximum", *_DRAWN[: 1 + written.has_parts], *names], ranked)


def _of(numbers: Tensor | None, row: int) -> float | None:
    return None if numbers is None else float(numbers[row])


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _clear(place: Path) -> None:
    """Remove what an earlier run wrote into a method's folder, and nothing else. Raises OSError."""
    listed = _listed(place / SCORES)
    for path in place.iterdir():
        if path.name == SCORES or path.name in listed or (path.suffix == ".png" and is_unique_name(path.stem)):
            path.unlink()


def _listed(scores: Path) -> set[str]:
    """The pictures that the table of an earlier run names; none where there is no such table."""
    try:
        text = read_regular(scores, largest=_LARGEST).decode("utf-8-sig", "replace")
        return {row.get(drawn) or "" for row in csv.DictReader(io.StringIO(text)) for drawn in _DRAWN} - {""}
    except (DamagedFile, csv.Error):
        return set()


def name_earlier(output: Path, written: set[Path]) -> None:
    """Say which results of earlier runs lie beside those of this one."""
    there = sorted(output.iterdir()) if output.is_dir() else []
    if left := [place.name for place in there if place not in written and is_output(place)]:
        logger.info("%s: %s %s of an earlier run", output, ", ".join(left), agreed("are", len(left)))
