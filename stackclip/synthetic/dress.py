"""What a product is: an outline, and within it a height and painted parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from stackclip.synthetic.fields import Field

__all__ = ["HOLLOW", "SILVER", "Colour", "Dress", "Paint", "Quirks", "Shape"]

Colour: TypeAlias = tuple[float, float, float]
Quirks: TypeAlias = tuple[float, ...]
"""Four numbers in [-1, 1] in which instances of one shape differ."""

HOLLOW: Colour = (0.06, 0.06, 0.07)
SILVER: Colour = (0.80, 0.81, 0.83)


@dataclass(frozen=True, slots=True)
class Paint:
    """A part in a colour of its own over the pattern: where it is, in [0, 1], and how glossy."""

    cover: Field
    colour: Colour
    gloss: float


@dataclass(frozen=True, slots=True)
class Dress:
    """What stands within a shape's outline: its height in frame units and its painted parts, the lowest first."""

    height: Field
    paints: tuple[Paint, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A named product: how far it is turned at most (radians), its outline and what stands within.

    `outline(u, v, quirks)` is the signed distance, negative inside, in frame units and for points of any number.
    `dress(u, v, quirks, distance, edge, contrast)` gets a pixel's width and a colour that stands out from the pattern.
    """

    name: str
    turn: float
    outline: Callable[[Field, Field, Quirks], Field]
    dress: Callable[[Field, Field, Quirks, Field, float, Colour], Dress]
