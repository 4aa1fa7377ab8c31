"""What assemblies lie in, seen from above: a tray with compartments, a wooden box, a mounting plate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stackclip.synthetic.body import Body
from stackclip.synthetic.dress import Colour
from stackclip.synthetic.fields import (
    Field,
    box,
    cells,
    either,
    inside,
    length,
    lerp,
    noise,
    soft,
    wave,
)

__all__ = ["BOX", "COLUMNS", "PLATE", "ROWS", "TRAY", "Tray"]

COLUMNS, ROWS = (-0.60, 0.0, 0.60), (-0.46, 0.46)
_CELL = (0.265, 0.415)
_ABS: Colour = (0.20, 0.23, 0.27)
_FOAM: Colour = (0.29, 0.31, 0.33)
_WOOD: Colour = (0.66, 0.47, 0.29)
_FELT: Colour = (0.30, 0.33, 0.36)
_PLATE: Colour = (0.66, 0.67, 0.68)
_RAIL = (-0.36, 0.135)


@dataclass(frozen=True, slots=True)
class Tray:
    """What an assembly lies in: `surface(rng, x, y, edge)` fills the frame, and walls of it throw a shadow.

    `walls(x, y)` is the signed distance to what stands `rise` above the floor, in frame units.
    """

    surface: Callable[[Generator, Field, Field, float], Body]
    walls: Callable[[Field, Field], Field]
    rise: float


def _compartments(x: Field, y: Field) -> Field:
    return -either(*(box(x - left, y - top, *_CELL, 0.06) for left in COLUMNS for top in ROWS))


def _plastic(rng: Generator, x: Field, y: Field, edge: float) -> Body:
    walls = _compartments(x, y)
    floor = inside(-walls, edge)
    foam = _nap(rng, x, y, 0.028)
    skin = noise(rng, x, y, 0.022)
    wall: Field = _rgb(_ABS) * (1.0 + 0.05 * skin)
    colour = lerp(wall, _rgb(_FOAM) * (1.0 + 0.10 * foam), floor)
    height = 0.045 * soft(walls, -0.01, 0.03) + 0.0022 * foam * floor
    return _filling(colour, height, 0.30 * (1.0 - floor))


def _inner(x: Field, y: Field) -> Field:
    opening = box(x, y, 0.885, 0.885, 0.04)
    divider = box(x - 0.33, y, 0.030, 0.95)
    return either(-opening, divider)


def _wooden(rng: Generator, x: Field, y: Field, edge: float) -> Body:
    walls = _inner(x, y)
    wall = inside(walls, edge)
    upright = np.where(np.abs(x) > np.abs(y), 1.0, 0.0).astype(np.float32)
    along, across = lerp(x, y, upright), lerp(y, x, upright)
    bent = across + 0.03 * noise(rng, along, across, 0.7, across=0.3)
    rings = wave(bent / 0.055 + 1.5 * noise(rng, along, bent, 0.9, across=0.12))
    fibre = noise(rng, along, across, 0.30, across=0.012)
    wood = _rgb(_WOOD) * (0.96 + 0.06 * rings + 0.10 * fibre)
    nap = _nap(rng, x, y, 0.019)
    felt = _rgb(_FELT) * (1.0 + 0.11 * nap)
    height = 0.035 * soft(-walls, -0.004, 0.025) + 0.0012 * fibre * wall + 0.0015 * nap * (1.0 - wall)
    return _filling(lerp(felt, wood, wall), height, 0.18 * wall)


def _rails(x: Field, y: Field) -> Field:
    away: Field = np.abs(y - _RAIL[0])
    return away - _RAIL[1]


def _metal(rng: Generator, x: Field, y: Field, edge: float) -> Body:
    rail = inside(_rails(x, y), edge)
    streaks = noise(rng, x, y, 0.9, across=0.020) + 0.6 * noise(rng, x, y, 0.5, across=0.040)
    near, second, own = cells(rng, x, y, 0.16)
    spangle = (own - 0.5) * soft(second - near, 0.0, 0.12)
    plate = _rgb(_PLATE) * (0.92 + 0.07 * spangle)
    colour = lerp(plate, _rgb((0.78, 0.79, 0.80)) * (0.94 + 0.05 * streaks), rail)
    profile = np.abs(np.abs(y - _RAIL[0]) - 0.090)
    slots = box(x - 0.30 * np.floor(x / 0.30 + 0.5), y - _RAIL[0], 0.085, 0.028, 0.028)
    holes = length(np.abs(x) - 0.90, np.abs(y) - 0.90) - 0.045
    dark = np.maximum(inside(slots, edge), inside(holes, edge))
    colour = lerp(colour, _rgb((0.10, 0.10, 0.11)), 0.85 * dark)
    height = 0.05 * soft(-_rails(x, y), -0.005, 0.02) + 0.03 * soft(profile, 0.045, 0.025) - 0.02 * dark
    return _filling(colour, height + 0.0006 * streaks * rail, 0.45 * (1.0 - dark))


def _nap(rng: Generator, x: Field, y: Field, cell: float) -> Field:
    """Noise of two lattices at odds with each other, which hide the squares that each one alone would show."""
    return noise(rng, 0.8 * x + 0.6 * y, 0.8 * y - 0.6 * x, cell) + 0.8 * noise(rng, x, y, 1.9 * cell)


def _filling(colour: Field, height: Field, gloss: Field) -> Body:
    return Body(np.full_like(height, -1.0), height, colour, gloss)


def _rgb(colour: Colour) -> Field:
    return np.array(colour, np.float32)[:, None, None]


TRAY = Tray(_plastic, _compartments, 0.11)
BOX = Tray(_wooden, _inner, 0.12)
PLATE = Tray(_metal, _rails, 0.03)
