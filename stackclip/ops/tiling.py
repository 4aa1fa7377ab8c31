"""A large picture in tiles that overlap: where they lie, the views that show them, and what was typed for that."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from stackclip.errors import BadOption, UsageError
from stackclip.registry import Spec, bind, options_of
from stackclip.sizes import Side, side_of, size_of
from stackclip.types import Part

__all__ = ["Tiling", "by_tiles", "parts_in_words", "spans_of", "tiling_of"]

TileScore = Literal["max", "mean", "whole"]

_MOST = 99  # tiles along a side
_NAMED = re.compile(r"([0-9]{1,6})(?:x([0-9]{1,6}))?")
_TILE = re.compile(r"(@tile[0-9xo]+-)[0-9]+")
_OF_TILE = re.compile(r"tile([0-9]+)x([0-9]+)(?:o([0-9]+))?-[0-9]+")
_GRID = "wanted ROWSxCOLUMNS, such as 2x2, or the side of a tile in pixels of the picture, such as 518"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """`rows` x `columns` tiles that cover a picture, neighbours sharing at least `overlap` percent of a tile's side.

    With `whole` the whole picture is seen as one more tile. The score of a picture is that of its highest tile, the
    mean of all, or that of the whole. Maps are blended where the longer side has `side` pixels; by default a tile has
    as many as the tower's picture there (`map_side`).
    """

    rows: int
    columns: int
    overlap: int = 25
    whole: bool = False
    score: TileScore = "max"
    side: int | None = None

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        if not (1 <= self.rows <= _MOST and 1 <= self.columns <= _MOST):
            raise BadOption(f"tiles {self.grid}: wanted from 1 to {_MOST} along a side")
        if not 0 <= self.overlap <= 75:
            raise BadOption(f"tiles {self.grid}: overlap={self.overlap}; wanted 0 to 75 percent of a tile's side")
        if self.score == "whole" and not self.sees_whole:
            raise BadOption(f"tiles {self.grid}: score=whole wants the whole picture too: add whole=yes")
        if self.side is not None and self.side < 1:
            raise BadOption(f"tiles {self.grid}: side={self.side}; wanted 1 pixel or more")

    @property
    def grid(self) -> str:
        """Its tiles in words: `2x3`."""
        return f"{self.rows}x{self.columns}"

    @property
    def sees_whole(self) -> bool:
        """Whether the whole picture is among its views."""
        return self.whole or self.rows * self.columns == 1

    @property
    def tiles(self) -> tuple[str, ...]:
        """The views of the tiles, row by row; of a single one the picture as it is, which has no name."""
        if self.rows * self.columns == 1:
            return ("",)
        name = f"tile{self.grid}o{self.overlap}" if self.overlap else f"tile{self.grid}"
        return tuple(f"{name}-{number}" for number in range(1, self.rows * self.columns + 1))

    @property
    def views(self) -> tuple[str, ...]:
        """All views of a picture, the whole one last."""
        alone = self.rows * self.columns == 1
        return (*self.tiles, "") if self.whole and not alone else self.tiles

    def parts(self, parts: Iterable[Part]) -> frozenset[Part]:
        """Parts of a picture in all its views; what is turned is turned in each (`patch/6@tile2x2o25-1+rot45`)."""
        return frozenset(seen_in(part, view) for part in parts for view in self.views)

    def map_side(self, image_size: Side) -> Side:
        """The side, or size, on which maps are blended, of tiles that a tower sees at `image_size`: as oblong as it."""
        longest = max(_tiles_long(count, self.overlap) for count in (self.rows, self.columns))
        seen = size_of(image_size)
        times = longest if self.side is None else self.side / max(seen)
        return side_of([max(1, round(each * times)) for each in seen])

    @property
    def facts(self) -> dict[str, Any]:
        """Every choice by name, as JSON has it."""
        return asdict(self)

    def __str__(self) -> str:
        """As it is typed."""
        given = {each.name: getattr(self, each.name) for each in fields(self)[2:]}
        changed = {each.name for each in fields(self)[2:] if given[each.name] != each.default}
        said = {"whole": "yes"} if self.whole else {}
        return str(Spec(self.grid, tuple((name, str({**given, **said}[name])) for name in changed)))


def parts_in_words(parts: Iterable[Part]) -> str:
    """The names of parts in order, those of the tiles of a picture as one: `cls, patch/6@tile4x4o25-*`."""
    return ", ".join(dict.fromkeys(_TILE.sub(r"\1*", str(part)) for part in sorted(parts)))


def by_tiles(parts: Iterable[Part]) -> dict[str, frozenset[Part]]:
    """Parts as they are called without tiles, by what is typed for the tiles that they are of; "" for none."""
    found: dict[str, set[Part]] = {}
    for part in parts:
        tile, _, turned = part.view.partition("+")
        named = _OF_TILE.fullmatch(tile)
        if named is None:
            found.setdefault("", set()).add(part)
        else:
            overlap = int(named[3] or 0)
            text = str(Tiling(rows=int(named[1]), columns=int(named[2]), overlap=overlap))
            found.setdefault(text, set()).add(replace(part, view=turned))
    return {text: frozenset(found[text]) for text in sorted(found)}


def seen_in(part: Part, view: str) -> Part:
    """A part in a view of the picture, in which it may be turned."""
    return replace(part, view="+".join(filter(None, (view, part.view))))


def tiling_of(text: str, largest: Callable[[], tuple[int, int]]) -> Tiling:
    """The tiling of `ROWSxCOLUMNS[options]`, or of `SIZE[options]`: tiles of at most SIZE pixels a side.

    As many tiles as the `largest` (height, width) of the pictures wants; it is asked for with SIZE alone. All pictures
    are cut alike. Raises BadOption and UsageError for what is neither.
    """
    spec = Spec.parse(text)
    known = [option for option in options_of(Tiling) if option.name not in ("rows", "columns")]
    options = bind(f"tiles {spec.name}", known, dict(spec.options))
    named = _NAMED.fullmatch(spec.name)
    if named is None or not int(named[1]):
        raise UsageError(f"--tiles {text}: {_GRID}")
    if named[2]:
        return Tiling(rows=int(named[1]), columns=int(named[2]), **options)
    overlap = Tiling(rows=1, columns=1, **options).overlap
    high, wide = (_count(length, int(named[1]), overlap) for length in largest())
    return Tiling(rows=high, columns=wide, **options)


def spans_of(length: int, count: int, overlap: int = 0) -> tuple[slice, ...]:
    """The pixels of each of `count` tiles along a side of `length`; of a picture that is too small at least one.

    With an overlap, in percent of a tile, all are equally long and evenly spaced, the first at the beginning and the
    last at the end. Without one they differ by a pixel at most.
    """
    if not overlap or count == 1:
        starts = [length * place // count for place in range(count)]
        ends = [max(start + 1, length * (place + 1) // count) for place, start in enumerate(starts)]
        return tuple(map(slice, starts, ends))
    tile = max(1, math.ceil(length / _tiles_long(count, overlap)))
    evenly = (round(place * (length - tile) / (count - 1)) for place in range(count))
    return tuple(slice(start, start + tile) for start in evenly)


def _tiles_long(count: int, overlap: int) -> float:
    """How many tiles long a row of overlapping ones is."""
    return (100 * count - overlap * (count - 1)) / 100


def _count(length: int, tile: int, overlap: int) -> int:
    """The fewest tiles along a side of which none is longer than `tile` pixels."""
    beyond = max(0, length - tile)
    return 1 + -(-100 * beyond // (tile * (100 - overlap)))
