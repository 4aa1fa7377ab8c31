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

from stackclip.sizes import Side, size_of

__all__ = ["Augmentation"]

_ANGLE, _SHIFT = 30.0, 0.15  # degrees, and a share of a side: the most, either way, as AA-CLIP's released code has it
_MOVED, _COLOURED = 0.5, 0.7  # how often each takes place
_FACTORS = 0.5, 1.5  # of brightness, contrast and saturation


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What happens to one picture and its mask; None does not take place.

    `brightness`, `contrast` and `saturation` are factors for the picture as it is read. Then it is prepared and, in its
    frame, turned by `angle` degrees counter-clockwise, shifted by whole pixels (right, down), and flipped. Nearest
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
    def draw(cls, view: str, digest: str, side: Side, *, colours: bool) -> Augmentation:
        """The one of a view of the picture with this digest, prepared at `side` pixels; `colours` may change too.

        Rotation, shift and flips take place every other time, each colour factor in 7 of 10: AA-CLIP's released code.
        """
        seed = hashlib.sha256(f"{view}\n{digest}".encode()).digest()
        draws = np.random.default_rng(list(seed))
        chances, factors = draws.random(7), draws.uniform(*_FACTORS, 3)
        angle, most = draws.uniform(-_ANGLE, _ANGLE), _SHIFT * np.array(size_of(side)[::-1])  # right, down
        shift = draws.uniform(-most, most)
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

    def moved(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """A prepared picture (3, H, W) or a mask (H, W), turned, shifted and flipped in its own frame."""
        if self.angle is not None:
            pixels = _turned(pixels, math.radians(self.angle))
        if self.shift is not None:
            pixels = _shifted(pixels, *self.shift)
        pixels = pixels[..., :, ::-1] if self.left_right else pixels
        return np.ascontiguousarray(pixels[..., ::-1, :] if self.upside_down else pixels)


def _turned(pixels: NDArray[Any], angle: float) -> NDArray[Any]:
    """Each new pixel is the one nearest to where it comes from."""
    height, width = pixels.shape[-2:]
    right, down = np.arange(width)[None, :] - (width - 1) / 2, np.arange(height)[:, None] - (height - 1) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    across = np.rint(cos * right - sin * down + (width - 1) / 2).astype(int)
    along = np.rint(sin * right + cos * down + (height - 1) / 2).astype(int)
    inside = (across >= 0) & (across < width) & (along >= 0) & (along < height)
    found = np.zeros_like(pixels)
    found[..., inside] = pixels[..., along[inside], across[inside]]
    return found


def _shifted(pixels: NDArray[Any], right: int, down: int) -> NDArray[Any]:
    (height, width), found = pixels.shape[-2:], np.zeros_like(pixels)
    kept_down, kept_right = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    from_down, from_right = slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0))
    found[..., kept_down, kept_right] = pixels[..., from_down, from_right]
    return found
