"""A product under the lamp: the layers that are seen, and how light, shadow and backdrop make a picture of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stackclip.synthetic.dress import Colour, Paint
from stackclip.synthetic.fields import Field, lerp, noise, ramp, seeded, soft

__all__ = ["Body", "Lamp", "grid", "photograph"]


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
    """Where the light comes from (a unit vector, z towards the viewer), on what backdrop, and how uneven both are."""

    light: tuple[float, float, float]
    backdrop: Colour
    fall: tuple[float, float]
    seed: int


def grid(size: int) -> tuple[Field, Field]:
    """The pixels' centres in frame units: x to the right, y down, each (S, S) in (-1, 1)."""
    centres = ((2.0 * np.arange(size) + 1.0) / size - 1.0).astype(np.float32)
    return np.broadcast_to(centres, (size, size)), np.broadcast_to(centres[:, None], (size, size))


def photograph(body: Body, lamp: Lamp) -> Field:
    """The picture (3, S, S) of a body before sensor noise; 0 is black, 1 is white."""
    size = body.distance.shape[0]
    edge = 2.0 / size
    x, y = grid(size)
    fall = 1.0 + lamp.fall[0] * x + lamp.fall[1] * y - 0.07 * (x * x + y * y)
    ground = _backdrop(body, lamp, x, y)
    shade, shine = _lit(body, lamp, edge)
    product = body.colour * shade + shine
    cover = ramp(body.distance, edge / 2.0, -edge / 2.0)
    picture = lerp(ground, product, cover)
    for paint in body.litter:
        picture = lerp(picture, np.array(paint.colour, np.float32)[:, None, None], paint.cover)
    return picture * fall


def _lit(body: Body, lamp: Lamp, edge: float) -> tuple[Field, Field]:
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


def _backdrop(body: Body, lamp: Lamp, x: Field, y: Field) -> Field:
    size = body.distance.shape[0]
    right, down, _ = lamp.light
    away = _shifted(body.distance, -0.13 * right * size / 2.0, -0.13 * down * size / 2.0)
    shadow = 0.50 * soft(away, 0.10, -0.10)
    contact = 0.30 * soft(body.distance, 0.10, -0.02)
    light = (1.0 - shadow) * (1.0 - contact)
    if body.pit is not None:
        light = light * (1.0 - body.pit)
    cloth = 1.0 + 0.015 * noise(seeded(lamp.seed, "backdrop"), x, y, 0.35)
    ground: Field = np.array(lamp.backdrop, np.float32)[:, None, None] * (light * cloth)
    return ground


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
