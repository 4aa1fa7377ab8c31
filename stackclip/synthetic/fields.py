"""Scalar fields on the plane from which everything is drawn: soft steps, noise, cells, strokes, folds, distances.

Fields are (S, S) float32. They are made with the four operations, square roots and comparisons alone, which every
machine rounds alike; sines, powers and sums over arrays are left out, so that pictures agree to the byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = [
    "Field",
    "Line",
    "Point",
    "between",
    "both",
    "box",
    "bump",
    "cells",
    "direction",
    "dome",
    "either",
    "ellipse",
    "fold",
    "inside",
    "length",
    "lerp",
    "melt",
    "noise",
    "pick",
    "ramp",
    "seeded",
    "segment",
    "soft",
    "strokes",
    "wave",
]

Field: TypeAlias = NDArray[np.floating[Any]]
Point: TypeAlias = tuple[float, float]
Line: TypeAlias = Sequence[tuple[float, float, float]]
"""The points (x, y, half-width) of a line."""


def seeded(*words: int | str) -> Generator:
    """A generator that depends on these words alone, on every machine and in every process."""
    numbers = [word if isinstance(word, int) else int.from_bytes(word.encode(), "little") for word in words]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(numbers)))


def between(rng: Generator, low: float, high: float) -> float:
    """A number drawn evenly from [low, high)."""
    return low + (high - low) * rng.random()


def pick(rng: Generator, count: int) -> int:
    """An index drawn evenly from range(count)."""
    return int(rng.random() * count)


def direction(angle: float) -> Point:
    """(cos, sin) of an angle in radians, rounded so that mathematics libraries agree."""
    return round(math.cos(angle), 9), round(math.sin(angle), 9)


def ramp(x: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a straight line between (`low` above `high` falls instead)."""
    result: Field = np.clip((x - low) / (high - low), 0.0, 1.0)
    return result


def soft(x: Field, low: float, high: float) -> Field:
    """As `ramp`, with rounded ends (smoothstep)."""
    t = ramp(x, low, high)
    return t * t * (3.0 - 2.0 * t)


def bump(square: Field) -> Field:
    """(1 - square)^2 where `square` is below 1, else 0: a bell of compact support over a squared distance."""
    t: Field = np.maximum(1.0 - square, 0.0)
    return t * t


def dome(t: Field) -> Field:
    """A quarter circle: 0 with a vertical tangent at t = 0, 1 with a flat one at t = 1."""
    t = np.clip(t, 0.0, 1.0)
    result: Field = np.sqrt(t * (2.0 - t))
    return result


def lerp(low: Field, high: Field, t: Field) -> Field:
    """`low` where t = 0, `high` where t = 1."""
    return low + (high - low) * t


def length(x: Field, y: Field) -> Field:
    """The Euclidean length of (x, y)."""
    result: Field = np.sqrt(x * x + y * y)
    return result


def wave(x: Field) -> Field:
    """A smooth wave of period 1 between -1 (at whole x) and 1 (at half x), without a sine."""
    t: Field = 1.0 - np.abs(2.0 * (x - np.floor(x)) - 1.0)
    return 2.0 * t * t * (3.0 - 2.0 * t) - 1.0


def both(*distances: Field) -> Field:
    """The signed distance to what lies within all (a bound on it inside corners)."""
    common: Field = reduce(np.maximum, distances)
    return common


def either(*distances: Field) -> Field:
    """The signed distance to what lies within any."""
    union: Field = reduce(np.minimum, distances)
    return union


def segment(x: Field, y: Field, start: Point, stop: Point) -> Field:
    """The distance to the straight line from `start` to `stop`."""
    along_x, along_y = stop[0] - start[0], stop[1] - start[1]
    square = max(along_x * along_x + along_y * along_y, 1e-12)
    x, y = x - start[0], y - start[1]
    t = np.clip((x * along_x + y * along_y) / square, 0.0, 1.0)
    return length(x - t * along_x, y - t * along_y)


def fold(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    """Reflect what lies beyond the ray at `angle` (radians) back below it."""
    cosine, sine = direction(angle)
    beyond = 2.0 * np.minimum(x * sine - y * cosine, 0.0)
    return x - beyond * sine, y + beyond * cosine


def noise(rng: Generator, x: Field, y: Field, cell: float, *, across: float | None = None) -> Field:
    """Smooth value noise in [-1, 1] with one free value per `cell` (per `across` along y, where it differs)."""
    side = 64
    lattice = (2.0 * rng.random((side, side)) - 1.0).astype(np.float32)
    x, y = x / cell + 32.5, y / (across or cell) + 32.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    column, row = left.astype(np.intp) & (side - 1), top.astype(np.intp) & (side - 1)
    here = row * side
    below = ((row + 1) & (side - 1)) * side
    right = (column + 1) & (side - 1)
    flat = lattice.ravel()
    upper = lerp(flat[here + column], flat[here + right], fx)
    lower = lerp(flat[below + column], flat[below + right], fx)
    return lerp(upper, lower, fy)


def cells(rng: Generator, x: Field, y: Field, cell: float, *, jitter: float = 0.8) -> tuple[Field, Field, Field]:
    """Scattered points, about one per `cell` squared: distances to the nearest two, and the nearest's draw.

    Distances are in units of `cell`; the draw is in [0, 1).
    """
    side = 32
    spots = (rng.random((3, side * side)) - np.array([[0.5], [0.5], [0.0]])).astype(np.float32)
    x, y = x / cell + 16.5, y / cell + 16.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left - 0.5, y - top - 0.5
    column, row = left.astype(np.intp), top.astype(np.intp)
    nearest = np.full_like(x, 9.0)
    second = np.full_like(x, 9.0)
    own = np.zeros_like(x)
    for down in (-1, 0, 1):
        line = ((row + down) & (side - 1)) * side
        for right in (-1, 0, 1):
            index = line + ((column + right) & (side - 1))
            dx = spots[0][index] * jitter + (right - fx)
            dy = spots[1][index] * jitter + (down - fy)
            square = dx * dx + dy * dy
            closer = square < nearest
            second = np.where(closer, nearest, np.minimum(second, square))
            nearest = np.where(closer, square, nearest)
            own = np.where(closer, spots[2][index], own)
    return np.sqrt(nearest), np.sqrt(second), own


def strokes(size: int, lines: Iterable[Line], *, reach: float) -> Field:
    """The signed distance to lines of varying half-width, in frame units: exact within `reach`, `reach` beyond.

    A line is its points with the half-width at each; one point alone is a disc. Coordinates run from -1 to 1 over the
    frame, x right, y down.
    """
    result = np.full((size, size), reach, np.float32)
    centres = ((2.0 * np.arange(size) + 1.0) / size - 1.0).astype(np.float32)
    for line in lines:
        for (start_x, start_y, wide), (stop_x, stop_y, narrow) in zip(line[:-1] or line, line[1:] or line, strict=True):
            margin = reach + max(wide, narrow)
            columns = _span(min(start_x, stop_x) - margin, max(start_x, stop_x) + margin, size)
            rows = _span(min(start_y, stop_y) - margin, max(start_y, stop_y) + margin, size)
            x, y = centres[None, columns] - start_x, centres[rows, None] - start_y
            along_x, along_y = stop_x - start_x, stop_y - start_y
            square = max(along_x * along_x + along_y * along_y, 1e-12)
            t = np.clip((x * along_x + y * along_y) / square, 0.0, 1.0)
            away = length(x - t * along_x, y - t * along_y) - (wide + (narrow - wide) * t)
            part = result[rows, columns]
            np.minimum(part, away, out=part)
    return result


def _span(low: float, high: float, size: int) -> slice:
    first, last = math.floor((low + 1.0) * size / 2.0), math.ceil((high + 1.0) * size / 2.0)
    return slice(min(max(first, 0), size), min(max(last, 0), size))


def box(u: Field, v: Field, half_u: float, half_v: float, corner: float = 0.0) -> Field:
    """The signed distance to a box, its corners rounded."""
    a, b = np.abs(u) - (half_u - corner), np.abs(v) - (half_v - corner)
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0))
    return outside + np.minimum(np.maximum(a, b), 0.0) - corner


def ellipse(u: Field, v: Field, half_u: float, half_v: float) -> Field:
    """The signed distance to an ellipse, nearly so far from its outline."""
    near = length(u / half_u, v / half_v)
    slope = length(u / (half_u * half_u), v / (half_v * half_v))
    return near * (near - 1.0) / np.maximum(slope, 1e-6)


def inside(distance: Field, edge: float) -> Field:
    """1 inside of an outline and 0 outside, over a pixel's width `edge`."""
    return ramp(distance, edge / 2.0, -edge / 2.0)


def melt(one: Field, other: Field, width: float) -> Field:
    """The union of two distances with a fillet of `width` where they meet."""
    t = np.maximum(width - np.abs(one - other), 0.0) / width
    return np.minimum(one, other) - t * t * (width / 4.0)
