"""What methods said of single pictures, as a gallery shows it: who is wrong at which threshold, and the worst first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sidecars import CellPictures
from stackclip.reports.table import rows_of_tables
from stackclip.types import ANOMALOUS, NORMAL, Row

__all__ = ["Exhibit", "Finder", "best_threshold", "exhibits_of", "most_of_each"]

ROOM = 40_000  # maps that are held in memory together, 0.2 GB: no page of 15 MB has so many
COLD, HOT = 90.0, 99.8  # percentiles of the normal pixels and of all at the ends of a scale, as of heat maps on disk

Finder = Callable[[Row], CellPictures | None]
"""What was kept of a row's pictures, if anything was."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Exhibit:
    """What one method said of the pictures of one category, which lie in `root`.

    `table` is the place of its table in the document, `content` the same for exhibits of the same pictures. Without
    `labelled` nothing is known of the pictures. `fixed` is a threshold, and `ends` those of the colours, that were set
    elsewhere; else they are made of these pictures. A `light` one has `levels` and `masks` (64, 64) of some rows alone.
    """

    method: str
    category: str
    pictures: CellPictures
    root: Path
    seed: int | None = None
    table: int = 0
    content: str = ""
    labelled: bool = True
    fixed: float | None = None
    ends: tuple[float, float] | None = None
    levels: Mapping[int, NDArray[np.uint8]] | None = None
    masks: Mapping[int, NDArray[np.bool_]] | None = None

    def light(self, most: int) -> Exhibit:
        """The same with maps and masks of at most so many pictures, the worst."""
        shown, rows = self.pictures, self.worst_first[:most]
        levels = {} if shown.levels is None else {row: shown.levels[row].copy() for row in rows}
        masks = {row: shown.masks[row].copy() for row in rows}
        pictures = replace(shown, levels=None, masks=shown.masks[:0].copy())
        return replace(self, pictures=pictures, ends=self.scale, levels=levels, masks=masks)

    def level_of(self, row: int) -> NDArray[np.uint8] | None:
        """The small map (64, 64) of a picture in levels; None where there is none."""
        if self.levels is not None:
            return self.levels.get(row)
        return None if self.pictures.levels is None else self.pictures.levels[row]

    def mask_of(self, row: int) -> NDArray[np.bool_]:
        """The mask (64, 64) of a picture."""
        return self.pictures.masks[row] if self.masks is None else self.masks[row]

    @property
    def shown(self) -> Sequence[int]:
        """The pictures that can be shown, the worst first."""
        return self.worst_first if self.masks is None else self.worst_first[: len(self.masks)]

    @cached_property
    def said(self) -> Numbers:
        """The score of each picture (N,), or the maximum of its map where the method gives no scores."""
        said = self.pictures.said
        return np.zeros(len(self.pictures)) if said is None else said

    @cached_property
    def threshold(self) -> float | None:
        """The score from which on a picture is called anomalous; None where nothing tells one."""
        if self.fixed is not None or not self.labelled:
            return self.fixed
        return best_threshold(self.said, self.pictures.labels)

    @cached_property
    def missed(self) -> tuple[int, ...]:
        """The defective pictures below the threshold, the worst first."""
        return tuple(place for place in self.worst_first if self._wrong[place] and self._is_bad[place])

    @cached_property
    def false(self) -> tuple[int, ...]:
        """The good pictures at the threshold and above, the worst first."""
        return tuple(place for place in self.worst_first if self._wrong[place] and not self._is_bad[place])

    @cached_property
    def outranked(self) -> Numbers:
        """The share (N,) of pictures of the other label that a method put on the wrong side of each one, or beside."""
        bad, good = np.sort(self.said[self._is_bad]), np.sort(self.said[~self._is_bad])
        above = (len(good) - np.searchsorted(good, self.said, "left")) / max(1, len(good))
        below = np.searchsorted(bad, self.said, "right") / max(1, len(bad))
        return np.where(self._is_bad, above, below)

    @cached_property
    def worst_first(self) -> tuple[int, ...]:
        """The places of all pictures: those that are wrong, by how many of the others outrank them, then the rest.

        Of pictures of which nothing is known the most anomalous come first.
        """
        if not self.labelled:
            return tuple(np.argsort(-self.said, kind="stable").tolist())
        beyond = np.where(self._is_bad, self.said, -self.said)
        return tuple(np.lexsort((beyond, -self.outranked, ~self._wrong)).tolist())

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """The scores at which colours are coldest and hottest; None without maps."""
        shown = self.pictures
        if self.ends is not None or shown.levels is None or shown.low is None or shown.high is None or not len(shown):
            return self.ends
        steps = (shown.high - shown.low)[:, None, None] / 255
        maps = shown.low[:, None, None] + steps * shown.levels
        normal = maps[~shown.masks]
        cold = float(np.percentile(normal if normal.size else maps, COLD))
        hot = float(np.percentile(maps, HOT))
        return cold, max(hot, cold + max(1e-12, 1e-9 * abs(cold)))

    @cached_property
    def _is_bad(self) -> NDArray[np.bool_]:
        return np.asarray(self.pictures.labels == ANOMALOUS)

    @cached_property
    def _wrong(self) -> NDArray[np.bool_]:
        called = np.zeros(len(self.pictures), bool) if self.threshold is None else self.said >= self.threshold
        return np.asarray((called != self._is_bad) & (self.threshold is not None))


def best_threshold(scores: Numbers, labels: NDArray[np.uint8]) -> float | None:
    """The score (of scores (N,)) from which on calling anomalous gives the best F1, the highest if several do.

    None where there are not both labels.
    """
    if not {NORMAL, ANOMALOUS} <= set(labels.tolist()):
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order] == ANOMALOUS)
    last = np.append(ranked[1:] != ranked[:-1], True)  # of pictures that score alike: all are called so, or none
    f1 = np.where(last, 2 * hits / (np.arange(1, len(ranked) + 1) + hits[-1]), -1)
    return float(ranked[int(f1.argmax())])


def exhibits_of(rows: Sequence[Row], find: Finder) -> tuple[list[Exhibit], list[Row]]:
    """An exhibit of each method and category of each table, and the rows of those of which no pictures were kept.

    It is of the first seed whose pictures were kept. What failed, or says nothing of pictures, is in neither. Where
    there are very many pictures the exhibits are light, one by one.
    """
    exhibits, lacking, cells = list[Exhibit](), list[Row](), dict[tuple[int, str, str], list[Row]]()
    for table, group in enumerate(group for alike in rows_of_tables(rows) for group in alike):
        for row in group:
            if not row.error:
                cells.setdefault((table, row.method, row.category), []).append(row)
    most = most_of_each([facts_of(of_seeds[0]).tested_pictures for of_seeds in cells.values()])
    for (table, _, _), of_seeds in cells.items():
        found = next(((row, kept) for row in of_seeds if (kept := find(row)) is not None), None)
        if found is None:
            lacking += of_seeds
        elif found[1].said is not None and len(found[1]):
            exhibits.append(_exhibit(*found, table).light(most))
    return exhibits, lacking


def most_of_each(counts: Sequence[int], room: int = ROOM) -> int:
    """Of how many pictures each cell may show maps, so that all together are not many more than there is room for."""
    left, waiting = room, sorted(counts)
    for place, count in enumerate(waiting):
        share = left // (len(waiting) - place)
        if count > share:
            return max(1, share)
        left -= count
    return room


def _exhibit(row: Row, pictures: CellPictures, table: int) -> Exhibit:
    tested = facts_of(row).tested
    return Exhibit(row.method, row.category, pictures, Path(tested.place), row.seed, table, tested.content)
