"""A picture seen otherwise: turned, a tile of it, or changed at random (`stackclip.types.read_view`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import affine_transform

from stackclip.clip.augmentation import Augmentation
from stackclip.errors import UsageError
from stackclip.types import Part, read_view

__all__ = ["by_view", "moved", "prepared", "seen", "seen_pixels"]


def by_view(parts: Iterable[Part]) -> dict[str, dict[Part, Part]]:
    """The parts of each view, by what the tower is asked for: it is shown one picture and knows of no views."""
    found: dict[str, dict[Part, Part]] = {}
    for part in sorted(parts):
        found.setdefault(part.view, {})[replace(part, view="")] = part
    return found


def prepared(
    prepare: Callable[[Image.Image], NDArray[np.float32]], picture: Image.Image, view: str, digest: str
) -> NDArray[np.float32]:
    """An RGB picture in a view as a tower's `prepare` reads it, (3, S, S); random changes are drawn by its digest.

    Raises UsageError for what is no view.
    """
    change = _augmentation(view, digest, 1)
    if change is None:
        return prepare(seen(picture, view))
    return moved(prepare(change.coloured(picture)), view, digest)


def moved(square: NDArray[Any], view: str, digest: str) -> NDArray[Any]:
    """A mask (S, S) or prepared picture (3, S, S) of the picture with that digest, moved as a view of it is.

    Raises UsageError for a view that moves no square.
    """
    change = _augmentation(view, digest, square.shape[-1])
    if change is None:
        raise UsageError(f"{view!r} is no view in which a mask is moved, wanted one such as move-1 or jitter-1")
    return change.moved(square)


def _augmentation(view: str, digest: str, side: int) -> Augmentation | None:
    """The random change of a view that is one."""
    named = read_view(view)
    if named is None or named.kind not in ("move", "jitter"):
        return None
    return Augmentation.draw(view.removeprefix("live-"), digest, side, colours=named.kind == "jitter")


def seen(picture: Image.Image, view: str) -> Image.Image:
    """An RGB picture in a view, or as it is where the view is empty; raises what `seen_pixels` does."""
    return Image.fromarray(seen_pixels(np.asarray(picture), view)) if view else picture


def seen_pixels(pixels: NDArray[Any], view: str) -> NDArray[Any]:
    """Pixels (H, W, 3) in a view, whole numbers rounded to the nearest.

    `rotN` turns them counter-clockwise by N degrees about (W / 2, H / 2) on the same canvas, bilinear, with the picture
    mirrored beyond its edges: the views of AnomalyDINO's references. `tileRxC-K` is the K-th, counted in rows from 1,
    of R x C tiles that cover the picture without overlap.

    Raises UsageError for what is no view.
    """
    named = read_view(view)
    if named is None or named.kind not in ("rot", "tile"):
        raise UsageError(f"{view!r} is no view of a picture, wanted one such as rot45 or tile2x3-4")
    if named.kind == "rot":
        return _turned(pixels, math.radians(named.numbers[0]))
    rows, columns, number = named.numbers
    row, column = divmod(number - 1, columns)
    down, across = _span(pixels.shape[0], row, rows), _span(pixels.shape[1], column, columns)
    return pixels[down, across]


def _turned(pixels: NDArray[Any], angle: float) -> NDArray[Any]:
    """Each new pixel is looked up where it comes from, between four old ones."""
    back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])  # of (row, column)
    centre = np.array(pixels.shape[:2]) / 2
    offset = centre - back @ centre
    found = np.empty_like(pixels)
    for channel in range(pixels.shape[2]):
        values = pixels[..., channel].astype(np.float32)
        turned = affine_transform(values, back, offset, order=1, mode="mirror")
        found[..., channel] = np.rint(turned) if found.dtype.kind in "iu" else turned
    return found


def _span(length: int, place: int, count: int) -> slice:
    """The pixels of one of `count` equal spans; of a picture that is too small at least one."""
    start = length * place // count
    return slice(start, max(start + 1, length * (place + 1) // count))
