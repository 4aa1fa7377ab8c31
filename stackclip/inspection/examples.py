"""Pictures that show what methods saw: some of many, as varied as there is room for, on one sheet."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sidecars import CellPictures
from stackclip.data import read_picture
from stackclip.data.images import png_of
from stackclip.inspection.sheet import sheet
from stackclip.ops.files import write_atomically
from stackclip.ops.words import few_of, legible
from stackclip.types import ANOMALOUS, NORMAL, Row

__all__ = ["SheetPicture", "draw_sheet", "varied"]

logger = logging.getLogger(__name__)
Place = tuple[str, str]
"""A data set and a category."""


@dataclass(frozen=True, slots=True)
class SheetPicture:
    """One picture of those that were tested in a place, by its number in the first cell there, and what it is of."""

    place: Place
    number: int
    label: int
    defect: str

    @property
    def category(self) -> str:
        """The category whose picture it is."""
        return self.place[1]


def draw_sheet(
    rows: Sequence[Row], find: Callable[[Row], CellPictures | None], path: Path, *, count: int = 8
) -> tuple[bool, tuple[str, ...]]:
    """Save a sheet: pictures of as many categories and kinds of defects as there is room for, a good one among them.

    They are as they were tested, with the small maps that `find` gives of what was kept beside a row; nothing is
    computed. Gives whether there was anything to draw, and the methods of which nothing was kept in some place.
    A method that left out a picture on the sheet has no column, which is logged.
    Raises PictureError for a picture that can no longer be read, OSError where the sheet cannot be written.
    """
    kept: dict[Place, dict[str, CellPictures]] = {}
    roots, lacking = dict[Place, Path](), dict[str, None]()
    for row in (row for row in rows if not row.error):
        place = row.test_on, row.category
        if (found := find(row)) is None:
            lacking[row.method] = None
            continue
        kept.setdefault(place, {}).setdefault(row.method, found)
        roots.setdefault(place, Path(facts_of(row).tested.place))
    if chosen := varied([each for place, seen in kept.items() for each in _examples(place, seen)], count):
        maps, without = _maps(chosen, kept)
        if without:
            said = f"no column on {path} for {few_of(without)}: they left out pictures that it shows"
            logger.warning("%s", legible(said))
        some = [(each, next(iter(kept[each.place].values()))) for each in chosen]
        image = sheet(
            [read_picture(roots[each.place] / seen.images[each.number]) for each, seen in some],
            [seen.masks[each.number] for each, seen in some],
            maps,
            names=[f"{each.category}, {each.defect}" for each in chosen],
            note=facts_of(rows[0]).note,
        )
        write_atomically(path, png_of(image))
    return bool(chosen), tuple(lacking)


def _examples(place: Place, seen: Mapping[str, CellPictures]) -> list[SheetPicture]:
    """The pictures of a place whose masks could be used."""
    first = next(iter(seen.values()))
    labelled = zip(first.labels.tolist(), first.defects, first.localised.tolist(), strict=True)
    return [
        SheetPicture(place, number, label, defect) for number, (label, defect, usable) in enumerate(labelled) if usable
    ]


def _maps(
    chosen: Sequence[SheetPicture], kept: Mapping[Place, Mapping[str, CellPictures]]
) -> tuple[dict[str, list[np.ndarray]], list[str]]:
    """The small maps of chosen pictures by method, of those that have one of each; and those that lack the picture.

    Pictures are found by their ids: cells of one place differ, as methods leave out by needs of their own.
    """
    maps: dict[str, list[np.ndarray]] = {}
    lacking = dict[str, None]()
    for each in chosen:
        seen_here = kept[each.place]
        wanted = next(iter(seen_here.values())).ids[each.number]
        for method, seen in seen_here.items():
            if wanted not in seen.ids:
                lacking[method] = None
            elif seen.levels is not None and seen.low is not None and seen.high is not None:
                number = seen.ids.index(wanted)
                low, high = seen.low[number], seen.high[number]
                maps.setdefault(method, []).append(low + (high - low) / 255 * seen.levels[number])
    return {method: found for method, found in maps.items() if len(found) == len(chosen)}, [*lacking]


def varied(examples: Sequence[SheetPicture], count: int) -> list[SheetPicture]:
    """One normal example in eight, then anomalous ones: new categories and new defects first."""
    normal = [each for each in examples if each.label == NORMAL][: max(1, count // 8)]
    rest = [each for each in examples if each.label == ANOMALOUS]
    chosen: list[SheetPicture] = []
    while rest and len(chosen) < count - len(normal):
        seen = Counter(word for each in chosen for word in (each.category, each.defect))
        chosen.append(min(rest, key=lambda each: seen[each.category] + seen[each.defect]))
        rest.remove(chosen[-1])
    return normal + chosen
