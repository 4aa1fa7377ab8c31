"""The folders of predictions: one a method, with what it says of its pictures and what was drawn of them."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from stackclip.errors import DamagedFile, StackclipError
from stackclip.inspection.calibrating import Judgement
from stackclip.inspection.regions import Region
from stackclip.inspection.sheet import Scale
from stackclip.inspection.tables import DRAWN, coco_text, lines_text, table_text
from stackclip.ops.files import write_atomically
from stackclip.ops.outputs import folder_name, is_output, is_unique_name, mark_output
from stackclip.ops.seals import read_regular
from stackclip.ops.small_maps import Looked
from stackclip.ops.words import agreed, counted
from stackclip.types import Sample

__all__ = [
    "CONTACT",
    "LINES",
    "RECORD",
    "SCORES",
    "MapFormat",
    "Written",
    "check_folders",
    "keep_scores",
    "name_earlier",
]

logger = logging.getLogger(__name__)

MapFormat = Literal["", "npy", "tiff"]
"""How maps are kept as they are; not at all where it is empty."""

SCORES, LINES, REGIONS, RECORD, CONTACT = "scores.csv", "scores.jsonl", "regions.json", "run.json", "worst.jpg"
WATCHED = ".watch.lock"
"""The file that keeps a second watch out of a folder."""
_OURS = frozenset({SCORES, LINES, REGIONS, RECORD, CONTACT})
_SUFFIXES = frozenset({".png", ".npy", ".tiff"})
_LARGEST = 1 << 28  # bytes of such a table; one of a million pictures has about 1e8


@dataclass
class Written:
    """What was kept of a method in `place`; `missing` are the pictures of which something could not be kept.

    `names` are the file names of the heat maps, without extension, by the ids of the pictures. `components` are what
    the scores are made of, by name; `looked` is where the method looked, if that is wanted. With `has_parts` the parts
    that the method found in each picture are drawn too, and its maps are kept as they are in files of the format
    `maps`, if that is one. The `judgement` is what good pictures say, `regions` are what lies above the threshold, by
    the ids of pictures of these `sizes`, (width, height). `record` is how all this was made, `bad` what came of
    pictures that are known to be bad, in words.
    """

    method: str
    place: Path
    names: Mapping[str, str]
    samples: Sequence[Sample] = ()
    scores: Tensor | None = None
    peaks: Tensor | None = None
    components: Mapping[str, Tensor] = field(default_factory=dict)
    looked: Looked | None = None
    scale: Scale | None = None
    has_parts: bool = False
    maps: MapFormat = ""
    judgement: Judgement | None = None
    why_no_verdict: str = ""
    bad: str = ""
    regions: dict[str, list[Region]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
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

    def map_of(self, sample: Sample) -> str:
        """The file name of the map of a picture as it is."""
        return f"{self.names[sample.id]}.{self.maps}"

    @property
    def ranked(self) -> list[int]:
        """The places of the samples, the most anomalous first: by score, or else by the maximum of the map."""
        numbers = self.peaks if self.scores is None else self.scores
        every = range(len(self.samples))
        return list(every) if numbers is None else sorted(every, key=lambda row: -float(numbers[row]))

    def __str__(self) -> str:
        if not self.samples:
            return f"{self.method}: {self.error}"
        kinds = {"scores": self.scores is not None, "heat maps": self.peaks is not None, "parts": self.has_parts}
        given = " and ".join(kind for kind, there in kinds.items() if there).replace(
            " and ", ", ", sum(kinds.values()) - 2
        )
        scaled = f", on the scale of {self.scale.of}" if self.scale else ""
        lost = f"{counted(len(self.missing), 'picture')} failed" if self.missing else ""
        verdict = str(self.judgement) if self.judgement else self.why_no_verdict
        line = f"{self.method}: {given} of {counted(len(self.samples), 'picture')} in {self.place}{scaled}"
        return "; ".join(each for each in (line, lost, verdict, self.bad, self.error) if each)


def check_folders(methods: Sequence[str], output: Path, *, watching: bool = False) -> None:
    """Raise StackclipError where a method's folder in `output` holds what stackclip did not write.

    So it does, unless `watching`, where it holds what a watch wrote: that grows, and is not replaced.
    """
    for method in methods:
        place = output / folder_name(method)
        if not watching and (place / WATCHED).exists():
            raise StackclipError(f"{place}: a watch adds its lines there: name another folder with -o, or move it away")
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
        write_atomically(written.place / SCORES, table_text(written).encode())
        write_atomically(written.place / LINES, lines_text(written).encode())
        if written.regions:
            write_atomically(written.place / REGIONS, coco_text(written).encode())
        write_atomically(written.place / RECORD, _json(written.record))
    except OSError as error:
        written.error = f"not kept: {error}"
        written.samples, written.scale, written.has_parts = (), None, False


def _json(facts: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(facts, indent=1, ensure_ascii=False)}\n".encode()


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _clear(place: Path) -> None:
    """Remove what an earlier run wrote into a method's folder, and nothing else. Raises OSError."""
    listed = _listed(place / SCORES)
    for path in place.iterdir():
        is_drawn = path.suffix in _SUFFIXES and is_unique_name(path.stem)
        if path.name in _OURS or path.name in listed or is_drawn:
            path.unlink()


def _listed(scores: Path) -> set[str]:
    """The pictures that the table of an earlier run names; none where there is no such table."""
    try:
        text = read_regular(scores, largest=_LARGEST).decode("utf-8-sig", "replace")
        return {row.get(drawn) or "" for row in csv.DictReader(io.StringIO(text)) for drawn in DRAWN} - {""}
    except (DamagedFile, csv.Error):
        return set()


def name_earlier(output: Path, written: set[Path]) -> None:
    """Say which results of earlier runs lie beside those of this one."""
    there = sorted(output.iterdir()) if output.is_dir() else []
    if left := [place.name for place in there if place not in written and is_output(place)]:
        logger.info("%s: %s %s of an earlier run", output, ", ".join(left), agreed("are", len(left)))
