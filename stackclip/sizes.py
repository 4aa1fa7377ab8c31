"""Sizes as (height, width), of pictures in pixels and of grids of patches: how they are typed, written and read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple, NoReturn

from stackclip.errors import NotApplicable, UsageError

__all__ = ["Frame", "Framed", "Side", "Size", "SizeLike", "frame_of", "said_size", "side_of", "size_of"]

_TYPED = re.compile(r"([0-9]{1,20})(?:x([0-9]{1,20}))?", re.ASCII)
_SHOWN = 40  # characters of what was given
_WITH_ANOTHER = "add sub mul pow truediv floordiv mod divmod lshift rshift and or xor"  # some of which a tuple takes
_ALONE = "neg pos abs round trunc floor ceil int float complex index"
_ORDERED = "lt le gt ge"
_SHAPE = "wanted a whole number of pixels, or HEIGHTxWIDTH such as 336x672, height first"


class Size(NamedTuple):
    """A height and a width: a tuple, but that whoever counts with it as with a side is refused (`NotApplicable`)."""

    height: int
    width: int

    @property
    def area(self) -> int:
        """How many pixels, or patches, it has."""
        return self.height * self.width

    def __str__(self) -> str:
        """`112` for a square, else `112x224`."""
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


def _no_side(size: Size, *_: object) -> NoReturn:
    wanted = "take tower.frame.grid or tower.frame.size"
    raise NotApplicable(f"{size} is no side of a square, which this code counts with: {wanted}")


def _beside_a_tuple(compared: Callable[[Any, Any], bool]) -> Callable[[Size, object], bool]:
    """The comparison of tuples, and of a size with what is none no answer."""
    return lambda size, other: compared(size, other) if isinstance(other, tuple) else _no_side(size)


for _word in _WITH_ANOTHER.split():
    setattr(Size, f"__{_word}__", _no_side)
    setattr(Size, f"__r{_word}__", _no_side)
for _word in _ALONE.split():
    setattr(Size, f"__{_word}__", _no_side)
for _word in _ORDERED.split():
    setattr(Size, f"__{_word}__", _beside_a_tuple(getattr(tuple, f"__{_word}__")))
setattr(Size, "__array_ufunc__", None)  # noqa: B010  # what numpy looks at: its numbers leave counting to the size

Side = int | Size
"""A size in short: the side of a square, else its height and width."""

SizeLike = int | str | Sequence[int]
"""A size as it may be given: 336, "336", "336x672", (336, 672)."""


def size_of(given: SizeLike) -> Size:
    """The size that is meant. Raises UsageError for what is none, and for one without a pixel."""
    if isinstance(given, str):
        typed = _TYPED.fullmatch(given.strip())
        found: Sequence[object] = [int(each) for each in typed.groups(typed[1])] if typed else ()
    else:
        found = given if isinstance(given, Sequence) else (given, given)
    whole = [int(each) for each in found if isinstance(each, Integral) and not isinstance(each, bool)]
    if len(whole) != 2 or len(found) != 2 or min(whole) < 1:
        text = str(given)
        raise UsageError(f"{text[:_SHOWN]!r}{'...' * (len(text) > _SHOWN)} is no size of a picture: {_SHAPE}")
    return Size(*whole)


def side_of(given: SizeLike) -> Side:
    """The same size in short, so that `112x112` is 112. Raises as `size_of`."""
    size = size_of(given)
    return size.height if size.height == size.width else size


def said_size(size: SizeLike) -> int | str:
    """A size as JSON and tables have it: 112, or "112x224"."""
    side = side_of(size)
    return side if isinstance(side, int) else str(side)


@dataclass(frozen=True, slots=True)
class Frame:
    """How patches lie in a picture: a `grid` of so many (rows, columns), row by row, and its `size` in pixels."""

    grid: Size
    size: Size


def frame_of(where: Frame | Side, patches: int) -> Frame:
    """Where so many patches lie. They are squares, so that the size of the picture alone says it too.

    Raises RuntimeError where so many squares do not fill it, UsageError as `size_of`.
    """
    if isinstance(where, Frame):
        return where
    height, width = size = size_of(where)
    rows = math.isqrt(max(patches, 0) * height // width)
    columns = patches // max(rows, 1)
    if patches < 1 or rows * columns != patches or rows * width != columns * height:
        raise RuntimeError(f"{patches} patches do not fill a picture of {size} pixels as squares")
    return Frame(Size(rows, columns), size)


class Framed:
    """What has pictures of a size and a grid of patches, each in short."""

    __slots__ = ()

    image_size: Side
    grid: Side

    def __post_init__(self) -> None:
        """Raise UsageError for what is no size; that of a square is kept as its side."""
        for name in ("image_size", "grid"):
            object.__setattr__(self, name, side_of(getattr(self, name)))

    @property
    def frame(self) -> Frame:
        """How its patches lie in its pictures."""
        return Frame(size_of(self.grid), size_of(self.image_size))

    @property
    def patches(self) -> int:
        """How many patches a picture has."""
        return size_of(self.grid).area
