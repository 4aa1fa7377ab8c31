"""A picture seen otherwise: turned, a tile of it, or changed at random (`stackclip.viewnames.read_view`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.clip.augmentation import Augmentation
from stackclip.errors import UsageError
from stackclip.ops.tiling import spans_of
from stackclip.sizes import Side, side_of
from stackclip.types import Part
from stackclip.viewnames import read_view

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
    """An RGB picture in a view as a tower's `prepare` reads it, (3, H, W); random changes are drawn by its digest.

    Raises UsageError for what is no view.
    """
    change = _augmentation(view, digest, 1)
    if change is None:
        return prepare(seen(picture, view))
    return moved(prepare(change.coloured(picture)), view, digest)


def moved(pixels: NDArray[Any], view: str, digest: str) -> NDArray[Any]:
    """A mask (H, W) or prepared picture (3, H, W) of the picture with that digest, moved as a view of it is.

    Raises UsageError for a view that moves none.
    """
    change = _augmentation(view, digest, side_of(pixels.shape[-2:]))
    if change is None:
        raise UsageError(f"{view!r} is no view in which a mask is moved, wanted one such as move-1 or jitter-1")
    return change.moved(pixels)


def _augmentation(view: str, digest: str, side: Side) -> Augmentation | None:
    """The random change of a view that is one."""
    named = read_view(view)
    if named is None or named.kind not in ("move", "jitter"):
        return None
    return Augmentation.draw(view.removeprefix("live-"), digest, side, colours=named.kind == "jitter")


def seen(picture: Image.Image, view: str) -> Image.Image:
    """An RGB picture in a view, or as it is where the view is empty; raises what `seen_pixels` does."""
    if not view:
        return picture
    first, _, then = view.partition("+")
    if _kind(view) == "tile":  # cut out before it becomes an array: the whole may be large
        down, across = _place(first, picture.height, picture.width)
        return seen(picture.crop((across.start, down.start, across.stop, down.stop)), then)
    return Image.fromarray(_turned(np.asarray(picture), _angle(view)))


def seen_pixels(pixels: NDArray[Any], view: str) -> NDArray[Any]:
    """Pixels (H, W, 3) in a view, whole numbers rounded to the nearest.

    `rotN` turns them counter-clockwise by N degrees about (W / 2, H / 2) on the same canvas, bilinear, with the picture
    mirrored beyond its edges: the views of AnomalyDINO's references. `tileRxC-K` is the K-th, counted in rows from 1,
    of R x C tiles that cover the picture without overlap, `tileRxCoP-K` of tiles that overlap by P percent of a side
    (`stackclip.ops.tiling`); `tileRxC-K+rotN` is turned.

    Raises UsageError for what is no view.
    """
    if _kind(view) == "rot":
        return _turned(pixels, _angle(view))
    first, _, then = view.partition("+")
    tile = pixels[_place(first, *pixels.shape[:2])]
    return seen_pixels(tile, then) if then else tile


def _kind(view: str) -> str:
    named = read_view(view)
    if named is None or named.kind not in ("rot", "tile"):
        raise UsageError(f"{view!r} is no view of a picture, wanted one such as rot45 or tile2x3-4")
    return named.kind


def _angle(view: str) -> float:
    return math.radians(int(view.removeprefix("rot")))


def _place(view: str, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the pixels of a tile."""
    named = read_view(view)
    assert named is not None
    rows, columns, *overlap, number = named.numbers
    row, column = divmod(number - 1, columns)
    return spans_of(height, rows, *overlap)[row], spans_of(width, columns, *overlap)[column]


def _turned(pixels: NDArray[Any], angle: float) -> NDArray[Any]:
    """Each new pixel is looked up where it comes from, between four old ones."""
    from scipy.ndimage import affine_transform

    back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])  # of (row, column)
    centre = np.array(pixels.shape[:2]) / 2
    offset = centre - back @ centre
    found = np.empty_like(pixels)
    for channel in range(pixels.shape[2]):
        values = pixels[..., channel].astype(np.float32)
        turned = affine_transform(values, back, offset, order=1, mode="mirror")
        found[..., channel] = np.rint(turned) if found.dtype.kind in "iu" else turned
    return found
