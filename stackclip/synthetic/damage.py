"""Where a defect is painted, what it makes of a product, and the strokes that several defects share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from stackclip.synthetic.body import Body
from stackclip.synthetic.dress import Colour, Paint
from stackclip.synthetic.fields import Field, Point, between, direction, length, lerp, pick, ramp
from stackclip.synthetic.product import brightness

__all__ = ["Damage", "Defect", "Spot", "away_from", "on_body", "painted", "unlike"]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a defect is painted: the pixels' frame coordinates, a pixel's width, the product and its shape.

    `outline(x, y)` is the product's signed distance at frame coordinates; `form(x, y)` is the whole product as drawn at
    those coordinates. `base` and `second` are its pattern's colours; `whole` is true of a surface that fills the frame.
    `scale` is how large a defect is, 1 for one that is hard to miss.
    """

    rng: Generator
    x: Field
    y: Field
    edge: float
    base: Colour
    second: Colour
    whole: bool
    scale: float
    outline: Callable[[Field, Field], Field]
    form: Callable[[Field, Field], Body]

    @property
    def size(self) -> int:
        """The picture's side in pixels."""
        return int(self.x.shape[0])

    @property
    def brightness(self) -> float:
        """How bright the first colour is, 0 to 1."""
        return brightness(self.base)

    def extent(self, low: float, high: float) -> float:
        """A length between two, drawn evenly, of a defect at its scale."""
        return between(self.rng, low, high) * self.scale

    def inside(self, depth: float) -> Point:
        """A point of the product at least `depth` below its outline, where there is one."""
        return self._candidate(lambda away: away + depth)

    def border(self) -> Point:
        """A point close to the product's outline (anywhere on a surface)."""
        return self.inside(0.0) if self.whole else self._candidate(lambda away: np.abs(away) - 0.02)

    def _candidate(self, excess: Callable[[Field], Field]) -> Point:
        reach = 0.62 if self.whole else 0.86
        points = ((2.0 * self.rng.random((2, 96)) - 1.0) * reach).astype(np.float32)
        value = excess(self.outline(points[0], points[1]))
        fitting = np.flatnonzero(value <= 0.0)
        best = int(fitting[0]) if fitting.size else int(np.argmin(value))
        return float(points[0, best]), float(points[1, best])

    def outward(self, point: Point) -> Point:
        """The unit vector away from the product at a point of its outline."""
        step = 0.02
        x = np.array([point[0] - step, point[0] + step, point[0], point[0]], np.float32)
        y = np.array([point[1], point[1], point[1] - step, point[1] + step], np.float32)
        left, right, above, below = self.outline(x, y).tolist()
        along_x, along_y = right - left, below - above
        norm = math.sqrt(along_x * along_x + along_y * along_y)
        return (along_x / norm, along_y / norm) if norm > 1e-6 else direction(between(self.rng, -math.pi, math.pi))


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged product, and where the defect is.

    `region` (S, S) is 1 on the defect, visible or not. None says that it moved or took away something, so that it is
    where the picture changed and nowhere else.
    """

    body: Body
    region: Field | None


Defect: TypeAlias = Callable[[Body, Spot], Damage]


def painted(body: Body, *paints: Paint) -> Body:
    """The body with paints over its colour, the lowest first."""
    colour, gloss = body.colour, body.gloss
    for paint in paints:
        colour = lerp(colour, np.array(paint.colour, np.float32)[:, None, None], paint.cover)
        gloss = lerp(gloss, np.full_like(gloss, paint.gloss), paint.cover)
    return replace(body, colour=colour, gloss=gloss)


def on_body(body: Body, cover: Field, edge: float) -> Field:
    """What of a cover lies on the body."""
    return cover * ramp(body.distance, edge / 2.0, -edge / 2.0)


def away_from(site: Spot, centre: Point) -> Field:
    """How far each pixel is from a point."""
    return length(site.x - centre[0], site.y - centre[1])


def unlike(site: Spot, colours: tuple[Colour, ...]) -> Colour:
    """One of the two colours that differ most from the product's."""

    def difference(colour: Colour) -> float:
        return min(
            abs(brightness(colour) - brightness(there)) + 0.3 * max(abs(colour[i] - there[i]) for i in range(3))
            for there in (site.base, site.second)
        )

    return sorted(colours, key=difference)[-1 - pick(site.rng, 2)]
