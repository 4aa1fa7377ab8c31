"""A product under the lamp: the layers that are seen, and how light, shadow and backdrop make a picture of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stackclip.synthetic.dress import Colour, Paint
from stackclip.synthetic.fields import Field, lerp, noise, ramp, seeded, soft

__all__ = ["Body", "Lamp", "grid", "laid", "lit", "photograph", "shadow"]


@dataclass(frozen=True, slots=True)
class Body:
    """What lies on the backdrop: outline, height, colour (3, S, S), gloss, how dark it is below, what lies on top."""

    distance: Field
    height: Field
    colour: Field
    gloss: Field
    pit: Field | None = None
    litter: tuple[Paint, ...] = ()


@dataclass(frozen=True, slots=True)
class Lamp:
    """Where the light comes from (a unit vector, z towards the viewer), on what backdrop, and how uneven both are.

    The backdrop is one colour, or gives that of frame coordinates (S, S) as (3, S, S).
    """

    light: tuple[float, float, float]
    backdrop: Colour | Callable[[Field, Field], Field]
    fall: tuple[float, float]
    seed: int

    def falling(self, x: Field, y: Field) -> Field:
        """How bright the frame is at its coordinates: unevenly, and less towards its corners."""
        return 1.0 + self.fall[0] * x + self.fall[1] * y - 0.07 * (x * x + y * y)


def grid(size: int) -> tuple[Field, Field]:
    """The pixels' centres in frame units: x to the right, y down, each (S, S) in (-1, 1)."""
    centres = ((2.0 * np.arange(size) + 1.0) / size - 1.0).astype(np.float32)
    return np.broadcast_to(centres, (size, size)), np.broadcast_to(centres[:, None], (size, size))


def photograph(body: Body, lamp: Lamp) -> Field:
    """The picture (3, S, S) of a body before sensor noise; 0 is black, 1 is white."""
    size = body.distance.shape[0]
    x, y = grid(size)
    cloth = 1.0 + 0.015 * noise(seeded(lamp.seed, "backdrop"), x, y, 0.35)
    bare = lamp.backdrop(x, y) if callable(lamp.backdrop) else np.array(lamp.backdrop, np.float32)[:, None, None]
    ground = bare * (shadow(body, lamp) * cloth)
    return laid(ground, body, lamp) * lamp.falling(x, y)


def laid(ground: Field, body: Body, lamp: Lamp) -> Field:
    """The light (3, S, S) of a body that lies on a ground whose light, in the body's shadow, is given."""
    edge = 2.0 / body.distance.shape[0]
    shade, shine = lit(body, lamp, edge)
    picture = lerp(ground, body.colour * shade + shine, ramp(body.distance, edge / 2.0, -edge / 2.0))
    for paint in body.litter:
        picture = lerp(picture, np.array(paint.colour, np.float32)[:, None, None], paint.cover)
    return picture


def lit(body: Body, lamp: Lamp, edge: float) -> tuple[Field, Field]:
    """How light a body's surface is (S, S), and what it mirrors of the lamp."""
    height = body.height / (2.0 * edge)
    slope_x, slope_y = np.zeros_like(height), np.zeros_like(height)
    slope_x[:, 1:-1] = height[:, 2:] - height[:, :-2]
    slope_y[1:-1] = height[2:] - height[:-2]
    right, down, up = lamp.light
    steep = np.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
    facing = np.maximum(up - right * slope_x - down * slope_y, 0.0) / steep
    shade = 0.36 + (0.64 / up) * facing
    # The half vector between the light and the viewer, who looks straight down.
    half = 1.0 / math.sqrt(2.0 + 2.0 * up)
    mirror = np.maximum((up + 1.0) - right * slope_x - down * slope_y, 0.0) * half / steep
    for _ in range(4):
        mirror = mirror * mirror
    return shade, 0.55 * body.gloss * mirror * mirror


def shadow(body: Body, lamp: Lamp) -> Field:
    """What of the light (S, S) a body leaves to the ground on which it lies."""
    size = body.distance.shape[0]
    right, down, _ = lamp.light
    away = _shifted(body.distance, -0.13 * right * size / 2.0, -0.13 * down * size / 2.0)
    cast = 0.50 * soft(away, 0.10, -0.10)
    contact = 0.30 * soft(body.distance, 0.10, -0.02)
    light: Field = (1.0 - cast) * (1.0 - contact)
    return light if body.pit is None else light * (1.0 - body.pit)


def _shifted(field: Field, right: float, down: float) -> Field:
    """The field moved by so many pixels, its border repeated."""
    for axis, by in ((1, right), (0, down)):
        whole = int(np.floor(by))
        part = by - whole
        index = np.arange(field.shape[axis]) - whole
        limit = field.shape[axis] - 1
        near, far = np.clip(index, 0, limit), np.clip(index - 1, 0, limit)
        field = np.take(field, near, axis) * (1.0 - part) + np.take(field, far, axis) * part
    return field
