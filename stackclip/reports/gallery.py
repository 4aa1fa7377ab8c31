"""Exhibits as the data of a page: thumbnails, small maps and masks in few bytes, of the worst where all is too much."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data import read_picture
from stackclip.errors import PictureError
from stackclip.ops.words import agreed, counted, legible
from stackclip.reports.exhibits import Exhibit

__all__ = ["LIMIT", "Gallery"]

LIMIT = 15_000_000
"""Bytes of all pictures and maps of a page, about which it stops being easy to send and to open."""
_THUMB, _QUALITY = 128, 58  # pixels of the longer side, and WebP's scale of 100
_TOP = 127  # the highest level of a map: half of the levels that are kept take a fifth less room
_OTHER = 120  # bytes of what is said of a picture beside its thumbnail and map


@dataclass
class Gallery:
    """The pictures of exhibits, each once, and what each method said of them.

    Where that takes more than `limit` bytes, pictures and maps of the worst of every exhibit are kept, as many of each;
    scores are kept of all.
    """

    exhibits: Sequence[Exhibit]
    limit: int = LIMIT
    gone: set[tuple[str, str]] = field(default_factory=set)
    _places: dict[tuple[str, str], int] = field(default_factory=dict)
    _pictures: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the page's script reads, as JSON."""
        walls = [self._wall(exhibit) for exhibit in self.exhibits]
        self._fill(walls)
        return {"pictures": self._pictures, "walls": walls, "top": _TOP}

    @cached_property
    def unshown(self) -> int:
        """How many scores have neither a picture nor a map, for want of room."""
        return sum(len(wall["scores"]) - len(wall["maps"]) for wall in self.data["walls"])

    @cached_property
    def unreadable(self) -> int:
        """How many pictures can no longer be read where they lay."""
        return len(self.gone) if self.data else 0

    @property
    def notes(self) -> Iterator[str]:
        """What has to be said of the pictures that are shown, and of those that are not."""
        if count := self.unreadable:
            lay = "it lay: its maps stand" if count == 1 else "they lay: their maps stand"
            yield f"{counted(count, 'picture')} {agreed('are', count)} no longer where {lay} alone."
        if self.unshown:
            limit = f"{self.limit / 1e6:g} MB"
            yield (
                f"All pictures and maps would take more than {limit}: those of the worst of each method and category "
                f"are here, and {self.unshown} more count in every number."
            )

    def _wall(self, exhibit: Exhibit) -> dict[str, Any]:
        """One exhibit without pictures: `shown` are their places, in the order of `scores`; `maps` come by place."""
        shown = exhibit.pictures
        places = [self._place(exhibit, row) for row in range(len(shown))]
        return {
            "table": exhibit.table,
            "method": legible(exhibit.method),
            "category": legible(exhibit.category),
            "seed": exhibit.seed,
            "labelled": exhibit.labelled,
            "threshold": exhibit.threshold,
            "scale": exhibit.scale,
            "peaks": None if shown.high is None else shown.high.tolist(),
            "lows": None if shown.low is None else shown.low.tolist(),
            "by_map": shown.scores is None,
            "scores": exhibit.said.tolist(),
            "shown": places,
            "maps": {},
        }

    def _place(self, exhibit: Exhibit, row: int) -> int:
        """Where a picture stands among all; the same picture has one place, whoever looked at it."""
        shown = exhibit.pictures
        key = (exhibit.content or str(exhibit.root), shown.ids[row])
        if key not in self._places:
            self._places[key] = len(self._pictures)
            label = int(shown.labels[row]) if exhibit.labelled else None
            said = {"name": legible(shown.ids[row]), "defect": legible(shown.defects[row]), "label": label}
            self._pictures.append({**said, "mask": None, "thumb": None, "size": [1, 1]})
        return self._places[key]

    def _fill(self, walls: Sequence[dict[str, Any]]) -> None:
        """Add pictures and maps, the worst of every exhibit first, then the next, up to the limit."""
        room = self.limit - _OTHER * len(self._pictures)
        done: set[int] = set()
        for number, row in _in_turn(self.exhibits):
            exhibit, wall = self.exhibits[number], walls[number]
            level = exhibit.level_of(row)
            small = "" if level is None else _webp(Image.fromarray(level >> 1), lossless=True)
            place = wall["shown"][row]
            fresh = {} if place in done else {**self._mask(exhibit, row), **self._thumb(exhibit, row)}
            room -= len(small) + len(fresh.get("thumb", "")) + 4 * len(fresh.get("mask", ()))
            if room < 0:
                return
            done.add(place)
            self._pictures[place] |= fresh
            wall["maps"][row] = small

    def _mask(self, exhibit: Exhibit, row: int) -> dict[str, Any]:
        """What is anomalous in a picture, as far as that is known."""
        known = exhibit.labelled and exhibit.pictures.localised[row]
        return {"mask": _runs(exhibit.mask_of(row))} if known else {}

    def _thumb(self, exhibit: Exhibit, row: int) -> dict[str, Any]:
        """A small picture, and its size (width, height); nothing of one that is gone."""
        try:
            picture = read_picture(exhibit.root / exhibit.pictures.images[row])
        except PictureError:
            self.gone.add((exhibit.content or str(exhibit.root), exhibit.pictures.ids[row]))
            return {}
        picture.thumbnail((_THUMB, _THUMB), Image.Resampling.BOX)
        return {"thumb": _webp(picture, quality=_QUALITY), "size": list(picture.size)}


def _in_turn(exhibits: Sequence[Exhibit]) -> Iterator[tuple[int, int]]:
    """The worst picture of each exhibit by its number, then the second of each, and so on."""
    for rank in zip_longest(*(exhibit.shown for exhibit in exhibits)):
        yield from ((number, row) for number, row in enumerate(rank) if row is not None)


def _webp(picture: Image.Image, **how: Any) -> str:
    """A picture as WebP, in base64."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", method=4, **how)
    return base64.b64encode(buffer.getvalue()).decode()


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    """The lengths of the runs of a mask (64, 64), row by row, of normal and anomalous pixels in turn."""
    edges = np.flatnonzero(np.diff(mask.ravel().astype(np.int8), prepend=0))
    return np.diff(edges, prepend=0, append=mask.size).tolist() if edges.size else [int(mask.size)]
