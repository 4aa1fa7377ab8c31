"""Shapes that annotators draw, and which pixels each of them covers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, cos, hypot, radians, sin
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bitmap", "Canvas", "Marking", "Outline", "Oval", "Position", "Stroke", "boxed", "turned_box"]

Canvas: TypeAlias = NDArray[np.bool_]
"""The pixels (H, W) of a picture; True where a shape covers them."""

Position: TypeAlias = tuple[float, float]
"""(x, y) in pixels: the first pixel of a picture goes from (0, 0) to (1, 1), its centre is (0.5, 0.5)."""


class Marking(Protocol):
    """What was drawn, `word` is its class. What `is_box` covers more than the defect; without an area no `is_area`."""

    @property
    def word(self) -> str: ...

    @property
    def is_box(self) -> bool: ...

    @property
    def is_area(self) -> bool: ...

    def paint(self, canvas: Canvas) -> None:
        """Set the pixels that the shape covers."""
        ...


@dataclass(frozen=True, slots=True)
class Outline:
    """A polygon: it covers a pixel where an odd number of its edges lies to the left of the pixel's centre.

    So a hole that a seam joins to the rim stays a hole, and a square from (2, 3) to (5, 7) covers 3 x 4 pixels. One
    that holds no centre at all, thinner than a pixel, covers the pixels that its edges pass.
    """

    word: str
    points: tuple[Position, ...]
    is_box: bool = False
    is_area: bool = True

    def paint(self, canvas: Canvas) -> None:
        """Set the pixels (H, W) that the polygon covers."""
        ring = np.array(self.points, dtype=np.float64).reshape(-1, 2)
        if len(ring) and not _fill(ring, canvas):
            _trace(ring, canvas)


@dataclass(frozen=True, slots=True)
class Oval:
    """An ellipse about (x, y): it covers the pixels whose centres lie in it; `angle` in degrees, clockwise."""

    word: str
    x: float
    y: float
    half_width: float
    half_height: float
    angle: float = 0.0
    is_box: bool = False
    is_area: bool = True

    def paint(self, canvas: Canvas) -> None:
        """Set the pixels (H, W) that the ellipse covers."""
        if not (self.half_width > 0 and self.half_height > 0):
            return
        reach = max(self.half_width, self.half_height)
        rows, columns = (
            slice(max(0, int(at - reach) - 1), min(side, ceil(at + reach) + 1))
            for at, side in zip((self.y, self.x), canvas.shape, strict=True)
        )
        down, along = np.mgrid[rows, columns] + 0.5
        along, down = along - self.x, down - self.y
        turn = radians(self.angle)
        across = (along * cos(turn) + down * sin(turn)) / self.half_width
        upright = (down * cos(turn) - along * sin(turn)) / self.half_height
        canvas[rows, columns] |= across**2 + upright**2 <= 1


@dataclass(frozen=True, slots=True)
class Bitmap:
    """Pixels themselves: `bits` (height, width), packed row by row, the first of them at (left, top)."""

    word: str
    left: int
    top: int
    size: tuple[int, int]
    bits: bytes
    is_box: bool = False
    is_area: bool = True

    @classmethod
    def of(cls, word: str, pixels: NDArray[np.bool_], left: int = 0, top: int = 0) -> Bitmap:
        """The bitmap of pixels (height, width)."""
        height, width = pixels.shape
        return cls(word, left, top, (height, width), np.packbits(pixels).tobytes())

    def paint(self, canvas: Canvas) -> None:
        """Set the pixels (H, W) that are set in the bitmap; what lies outside is cut off."""
        height, width = self.size
        pixels = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=height * width).reshape(height, width)
        top, left = max(0, self.top), max(0, self.left)
        bottom, right = min(canvas.shape[0], self.top + height), min(canvas.shape[1], self.left + width)
        if top < bottom and left < right:
            inner = pixels[top - self.top : bottom - self.top, left - self.left : right - self.left]
            canvas[top:bottom, left:right] |= inner.astype(np.bool_)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line or a point: it says that there is a defect, and covers nothing."""

    word: str
    is_box: bool = False
    is_area: bool = False

    def paint(self, canvas: Canvas) -> None:
        """Leave the pixels as they are."""


def boxed(word: str, left: float, top: float, right: float, bottom: float) -> Outline:
    """The upright box between two corners, in any order."""
    return Outline(word, ((left, top), (right, top), (right, bottom), (left, bottom)), is_box=True)


def turned_box(word: str, corner: Position, size: Position, angle: float, about: Position) -> Outline:
    """The box of a (width, height) from its left upper corner, turned clockwise by `angle` degrees about a point."""
    (left, top), (width, height), (x, y), turn = corner, size, about, radians(angle)
    corners = ((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    turned = (
        (x + (a - x) * cos(turn) - (b - y) * sin(turn), y + (a - x) * sin(turn) + (b - y) * cos(turn))
        for a, b in corners
    )
    return Outline(word, corners if angle % 360 == 0 else tuple(turned), is_box=True)


def _fill(ring: NDArray[np.float64], canvas: Canvas) -> bool:
    """Set the pixels whose centres a ring (N, 2) encloses; whether there was any, in the canvas or outside of it."""
    (x, y), (next_x, next_y) = ring.T, np.roll(ring, -1, axis=0).T
    height, width = canvas.shape
    first, last = ceil(y.min() - 0.5), ceil(y.max() - 0.5)
    filled = bool(first < 0 or last > height)
    for row in range(max(0, first), min(height, last)):
        centre = row + 0.5
        crossed = (y <= centre) != (next_y <= centre)
        share = (centre - y[crossed]) / (next_y[crossed] - y[crossed])
        edges = np.sort(x[crossed] + share * (next_x[crossed] - x[crossed]))
        bounds = np.ceil(np.clip(edges, -1, width + 1) - 0.5).astype(np.int64)
        for left, right in zip(bounds[::2], bounds[1::2], strict=True):
            canvas[row, max(0, left) : max(0, right)] = True
            filled = filled or bool(left < right)
    return filled


def _trace(ring: NDArray[np.float64], canvas: Canvas) -> None:
    """Set the pixels that the edges of a ring (N, 2) pass."""
    height, width = canvas.shape
    for (x, y), (next_x, next_y) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        steps = min(4 * ceil(hypot(next_x - x, next_y - y)) + 1, 8 * (height + width))
        along = np.linspace(0, 1, steps + 1)
        columns = np.floor(x + along * (next_x - x))
        rows = np.floor(y + along * (next_y - y))
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        canvas[rows[inside].astype(np.int64), columns[inside].astype(np.int64)] = True
