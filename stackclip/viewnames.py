"""What the names of views say: how a picture is turned, cut or moved before it is seen."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["View", "read_view"]

_ROT = r"rot(?:[1-9]\d?|[12]\d\d|3[0-5]\d)"
_VIEW = re.compile(
    rf"(?P<rot>{_ROT})|(?P<tile>tile[1-9]\d?x[1-9]\d?(?:o[1-9]\d?)?-[1-9]\d{{0,3}})(?:\+{_ROT})?"
    r"|(?:live-)?(?:(?P<move>move-[1-9]\d{0,5})|(?P<jitter>jitter-[1-9]\d{0,5}))"
)


class View(NamedTuple):
    """What a view's name says: `rot` (degrees), `tile` (rows, columns, overlap?, which), `move`, `jitter` (which)."""

    kind: str
    numbers: tuple[int, ...]


def read_view(view: str) -> View | None:
    """What a view's name says, None for no view.

    `rot45` turns a picture by 45 degrees counter-clockwise; `tile2x3-4`, counted in rows from 1, is the first tile of
    the second row, `tile2x3o25-4` of tiles that overlap by 25 % of a side, `tile2x3-4+rot45` is turned. `move-3` is the
    third random change of its place, `jitter-3` of its colours too (`stackclip.clip.augmentation`); `live-jitter-3` is
    the same, made when it is asked for and never stored.
    """
    named = _VIEW.fullmatch(view)
    if named is None or named.lastgroup is None:
        return None
    numbers = tuple(int(digits) for digits in re.findall(r"\d+", named[named.lastgroup]))
    if named.lastgroup == "tile" and numbers[-1] > numbers[0] * numbers[1]:
        return None
    return View(named.lastgroup, numbers)
