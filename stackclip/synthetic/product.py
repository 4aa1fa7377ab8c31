"""A product in its own frame: a shape of a material and a colour, somewhat turned, moved and unlike its fellows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackclip.synthetic.body import Body
from stackclip.synthetic.dress import Colour, Quirks, Shape
from stackclip.synthetic.fields import Field, direction, lerp, seeded
from stackclip.synthetic.patterns import Pattern

__all__ = ["DARK_PART", "PALE_PART", "Product", "brightness"]

PALE_PART: Colour = (0.92, 0.90, 0.85)
DARK_PART: Colour = (0.22, 0.24, 0.29)
"""Colours of a product's other parts, whichever stands out."""


@dataclass(frozen=True, slots=True)
class Product:
    """A shape and its pattern in two colours, `contrast` for its other parts, and how this one lies.

    `turn` and `grain` (of the pattern) are in radians, `scale` and `shift` in frame units.
    """

    pattern: Pattern
    shape: Shape
    first: Colour
    second: Colour
    contrast: Colour
    quirks: Quirks
    turn: float
    grain: float
    scale: float
    shift: tuple[float, float]
    seed: int

    def placed(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Frame coordinates as the product's own."""
        cosine, sine = direction(self.turn)
        x, y = (x - self.shift[0]) / self.scale, (y - self.shift[1]) / self.scale
        return x * cosine + y * sine, y * cosine - x * sine

    def outline(self, x: Field, y: Field) -> Field:
        """The signed distance at frame coordinates, in frame units."""
        u, v = self.placed(x, y)
        return self.shape.outline(u, v, self.quirks) * self.scale

    def form(self, x: Field, y: Field) -> Body:
        """The good product as seen at frame coordinates (S, S)."""
        edge = 2.0 / x.shape[0]
        u, v = self.placed(x, y)
        distance = self.shape.outline(u, v, self.quirks)
        dress = self.shape.dress(u, v, self.quirks, distance, edge / self.scale, self.contrast)
        cosine, sine = direction(self.grain)
        texture = self.pattern.weave(
            seeded(self.seed, "texture", self.pattern.name), u * cosine + v * sine, v * cosine - u * sine, edge
        )
        first, second = (np.array(colour, np.float32)[:, None, None] for colour in (self.first, self.second))
        mix: Field = np.broadcast_to(np.asarray(texture.mix, np.float32), x.shape)
        colour: Field = lerp(first, second, mix) * texture.tone
        relief: Field = np.broadcast_to(np.asarray(texture.relief, np.float32), x.shape)
        gloss: Field = np.full(x.shape, texture.gloss, np.float32)
        for paint in dress.paints:
            colour = lerp(colour, np.array(paint.colour, np.float32)[:, None, None], paint.cover)
            gloss = gloss + (paint.gloss - gloss) * paint.cover
            relief = relief * (1.0 - paint.cover)
        return Body(distance * self.scale, (dress.height + relief) * self.scale, colour, gloss)


def brightness(colour: Colour) -> float:
    """How bright a colour is, 0 to 1."""
    return 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2]
