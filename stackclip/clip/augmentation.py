"""Random changes of training pictures, each drawn by a hash of the picture and the name of the view.

So a view of a picture is the same wherever and whenever it is made, can be kept, and its mask is moved alike.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

__all__ = ["Augmentation"]

_ANGLE, _SHIFT = 30.0, 0.15  # degrees, and a share of the side: the most, either way, as AA-CLIP's released code has it
_MOVED, _COLOURED = 0.5, 0.7  # how often each takes place
_FACTORS = 0.5, 1.5  # of brightness, contrast and saturation


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What happens to one picture and its mask; None does not take place.

    `brightness`, `contrast` and `saturation` are factors for the picture as it is read. Then it is prepared, and the
    square is turned by `angle` degrees counter-clockwise, shifted by whole pixels (right, down), and flipped. Nearest
    pixels are taken; what comes from beyond the edge is 0: the mean colour of prepared pictures, and no anomaly.
    """

    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    angle: float | None = None
    shift: tuple[int, int] | None = None
    left_right: bool = False
    upside_down: bool = False

    @classmethod
    def draw(cls, view: str, digest: str, side: int, *, colours: bool) -> Augmentation:
        """The one of a view of the picture with this digest, for a square of `side` pixels; `colours` may change too.

        Rotation, shift and flips take place every other time, each colour factor in 7 of 10: AA-CLIP's released code.
        """
        seed = hashlib.sha256(f"{view}\n{digest}".encode()).digest()
        draws = np.random.default_rng(list(seed))
        chances, factors = draws.random(7), draws.uniform(*_FACTORS, 3)
        angle, shift = draws.uniform(-_ANGLE, _ANGLE), draws.uniform(-_SHIFT * side, _SHIFT * side, 2)
        brightness, contrast, saturation = (
            float(factor) if colours and chance < _COLOURED else None
            for factor, chance in zip(factors, chances, strict=False)
        )
        return cls(
            brightness,
            contrast,
            saturation,
            float(angle) if chances[3] < _MOVED else None,
            (round(shift[0]), round(shift[1])) if chances[4] < _MOVED else None,
            bool(chances[5] < _MOVED),
            bool(chances[6] < _MOVED),
        )

    def coloured(self, picture: Image.Image) -> Image.Image:
        """An RGB picture as it was read, in other colours."""
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for enhance, factor in zip(enhancers, (self.brightness, self.contrast, self.saturation), strict=True):
            if factor is not None:
                picture = enhance(picture).enhance(factor)
        return picture

    def moved(self, square: NDArray[Any]) -> NDArray[Any]:
        """A prepared picture (3, S, S) or a mask (S, S), turned, shifted and flipped."""
        if self.angle is not None:
            square = _turned(square, math.radians(self.angle))
        if self.shift is not None:
            square = _shifted(square, *self.shift)
        square = square[..., :, ::-1] if self.left_right else square
        return np.ascontiguousarray(square[..., ::-1, :] if self.upside_down else square)


def _turned(square: NDArray[Any], angle: float) -> NDArray[Any]:
    """Each new pixel is the one nearest to where it comes from."""
    side = square.shape[-1]
    from_centre = np.arange(side) - (side - 1) / 2
    right, down = from_centre[None, :], from_centre[:, None]
    cos, sin = math.cos(angle), math.sin(angle)
    across = np.rint(cos * right - sin * down + (side - 1) / 2).astype(int)
    along = np.rint(sin * right + cos * down + (side - 1) / 2).astype(int)
    inside = (across >= 0) & (across < side) & (along >= 0) & (along < side)
    found = np.zeros_like(square)
    found[..., inside] = square[..., along[inside], across[inside]]
    return found


def _shifted(square: NDArray[Any], right: int, down: int) -> NDArray[Any]:
    side, found = square.shape[-1], np.zeros_like(square)
    kept_down, kept_right = slice(max(down, 0), side + min(down, 0)), slice(max(right, 0), side + min(right, 0))
    from_down, from_right = slice(max(-down, 0), side + min(-down, 0)), slice(max(-right, 0), side + min(-right, 0))
    found[..., kept_down, kept_right] = square[..., from_down, from_right]
    return found
