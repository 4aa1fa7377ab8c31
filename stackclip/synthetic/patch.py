"""The square of a picture in which one part is drawn, in a frame of the part's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.synthetic.body import Body, Lamp, grid, laid, shadow
from stackclip.synthetic.camera import change, changed
from stackclip.synthetic.damage import Spot
from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.fields import Field, Point, seeded
from stackclip.synthetic.product import Product

__all__ = ["Patch", "patch_of"]

_TRIES = 8
_PLAIN = 24.0
"""A defect is redrawn until it differs by this many levels, on average over its mask."""
_FEWEST = 12
"""A defect of fewer pixels is none."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A product in a frame of `side` pixels, whose corner is `left` and `top` in a picture (S, S)."""

    product: Product
    side: int
    left: int
    top: int
    size: int

    def on(self, picture: Field) -> Field:
        """The picture's pixels (..., side, side) below the patch, black where it reaches beyond."""
        ground = np.zeros((*picture.shape[:-2], self.side, self.side), picture.dtype)
        ground[..., *self._within] = picture[..., *self._window]
        return ground

    def put(self, picture: NDArray[Any], pixels: NDArray[Any]) -> None:
        """Put pixels (..., side, side) into the picture, as far as they lie in it."""
        picture[..., *self._window] = pixels[..., *self._within]

    def covered(self, beyond: float = 0.0) -> NDArray[np.bool_]:
        """Where in the picture (S, S) the product is, and as much as `beyond` of its frame's units around it."""
        mask = np.zeros((self.size, self.size), np.bool_)
        self.put(mask, self.product.outline(*grid(self.side)) < beyond)
        return mask

    def lay(self, picture: Field, lamp: Lamp) -> None:
        """Draw the product over a picture (3, S, S)."""
        body = self.product.form(*grid(self.side))
        self.put(picture, _lit_on(self.on(picture), body, lamp))

    def lay_damaged(self, picture: Field, lamp: Lamp, defect: str, gain: Field) -> NDArray[np.bool_]:
        """Draw the product with a defect, the first attempt that is plain to see or else the plainest; return where.

        What is seen is the picture times `gain` (3, S, S): highlights may lie above white before, and below after.
        """
        body, ground, gain = self.product.form(*grid(self.side)), self.on(picture), self.on(gain)
        good = _lit_on(ground, body, lamp)
        best: tuple[float, Field, NDArray[np.bool_]] | None = None
        for attempt in range(_TRIES):
            damage = DEFECTS[defect](body, self._site(defect, attempt))
            pixels = _lit_on(ground, damage.body, lamp)
            difference = change(pixels * gain, good * gain)
            mask = changed(difference, damage.region)
            area = int(mask.sum())
            merit = int(difference[mask].sum()) / area if area >= _FEWEST else 0.0
            if best is None or merit > best[0]:
                best = merit, pixels, mask
            if merit >= _PLAIN:
                break
        assert best is not None
        self.put(picture, best[1])
        damaged = np.zeros((self.size, self.size), np.bool_)
        self.put(damaged, best[2])
        return damaged

    def _site(self, defect: str, attempt: int) -> Spot:
        rng, product = seeded(self.product.seed, "defect", defect, attempt), self.product
        colours = product.first, product.second
        return Spot(rng, *grid(self.side), 2.0 / self.side, *colours, False, 1.0, product.outline, product.form)

    @property
    def _window(self) -> tuple[slice, slice]:
        """The rows and columns of the picture that the patch covers."""
        starts = (self.top, self.left)
        rows, columns = (slice(max(at, 0), max(0, min(at + self.side, self.size))) for at in starts)
        return rows, columns

    @property
    def _within(self) -> tuple[slice, slice]:
        """The rows and columns of the patch that the picture shows."""
        rows, columns = self._window
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )


def patch_of(product: Product, at: Point, half: float, size: int) -> Patch:
    """The patch of a product that lies at a point of a picture (S, S); `half` its frame's side, in the picture's units.

    The corner is a whole pixel; what is left of the way moves the product in its frame.
    """
    side = max(8, round(half * size))
    x, y = ((each + 1.0) / 2.0 * size - side / 2.0 for each in at)
    left, top = round(x), round(y)
    moved = replace(product, shift=(2.0 * (x - left) / side, 2.0 * (y - top) / side))
    return Patch(moved, side, left, top, size)


def _lit_on(ground: Field, body: Body, lamp: Lamp) -> Field:
    return laid(ground * shadow(body, lamp), body, lamp)
