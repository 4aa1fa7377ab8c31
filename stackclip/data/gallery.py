"""A sheet of pictures beside their masks' outlines, over all categories and defects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from stackclip.data.images import read_picture
from stackclip.data.masks import whole_mask
from stackclip.errors import PictureError
from stackclip.ops.spread import evenly
from stackclip.ops.words import legible
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample

__all__ = ["chosen_samples", "outlined", "pair_sheet"]

_TILE, _MARGIN, _LINE, _FONT, _PAIRS = 200, 6, 20, 14, 3  # pixels; pairs in a row
_GROUND = (236, 236, 236)
_OUTLINE, _EDGE = (255, 0, 190), (0, 0, 0)


def chosen_samples(samples: Iterable[Sample], most: int = 24) -> list[Sample]:
    """Some samples: each category's good ones and each of its defects in turn, evenly spread, by category."""
    groups: dict[tuple[str, str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.dataset, sample.category, sample.defect), []).append(sample)
    held = evenly(list(groups.values()), most)
    wanted = [0] * len(held)
    while sum(wanted) < most and any(count < len(group) for count, group in zip(wanted, held, strict=True)):
        for place, group in enumerate(held):
            if wanted[place] < len(group) and sum(wanted) < most:
                wanted[place] += 1
    return [sample for count, group in zip(wanted, held, strict=True) for sample in evenly(group, count)]


def pair_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Each picture as it is, and beside it with the outline of its mask; below both, category and defect.

    What cannot be read, and what is not there, is said in its place.
    """
    step, height = 2 * _TILE + 3 * _MARGIN, _TILE + _LINE + _MARGIN
    columns = min(_PAIRS, max(1, len(samples)))
    rows = -(-len(samples) // columns)
    canvas = Image.new("RGB", (columns * step + _MARGIN, rows * height + _MARGIN), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT)
    for number, sample in enumerate(samples):
        left, top = _MARGIN + number % columns * step, _MARGIN + number // columns * height
        for place, tile in enumerate(_pair(sample)):
            canvas.paste(tile, (left + place * (_TILE + _MARGIN), top))
        draw.text((left, top + _TILE + 2), _caption(sample), fill="black", font=font)
    return canvas


def outlined(picture: Image.Image, mask: NDArray[np.bool_]) -> Image.Image:
    """A picture with a line around the anomalous pixels of a mask (H, W), which is scaled to it; none is hidden."""
    scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BOX)
    inside = np.asarray(scaled) > 0  # every anomalous pixel counts, however small it becomes
    pixels = np.array(picture.convert("RGB"))
    if inside.any():
        line = ndimage.binary_dilation(inside, np.ones((3, 3), bool), iterations=2)
        edge = ndimage.binary_dilation(line, np.ones((3, 3), bool))
        pixels[edge & ~line] = _EDGE
        pixels[line & ~inside] = _OUTLINE
    return Image.fromarray(pixels)


def _pair(sample: Sample) -> tuple[Image.Image, Image.Image]:
    try:
        picture = read_picture(sample.image)
    except PictureError:
        return _said("cannot be read"), _said("")
    picture.thumbnail((_TILE, _TILE)) if max(picture.size) > _TILE else None
    share = _TILE / max(picture.size)
    fitted = picture.resize([max(1, round(side * share)) for side in picture.size])
    return _on_ground(fitted), _beside(sample, fitted)


def _beside(sample: Sample, fitted: Image.Image) -> Image.Image:
    """The tile beside a picture."""
    if sample.defect in (GOOD, UNLABELLED) or sample.label == NORMAL:
        return _said(sample.defect)
    if sample.mask is None:
        return _said("no mask")
    try:
        mask = whole_mask(sample)
    except PictureError:
        return _said("mask missing" if not sample.mask.exists() else "mask cannot be used")
    return _on_ground(outlined(fitted, mask)) if mask.any() else _said("mask is empty")


def _caption(sample: Sample) -> str:
    """Category and defect, as much of them as fits, and the file's name."""
    letters = 2 * _TILE // (_FONT // 2)
    words = [sample.category, sample.defect] if sample.label == ANOMALOUS else [sample.category, sample.split]
    text = legible(f"{', '.join(words)}: {sample.image.name}")
    return text if len(text) <= letters else f"{text[: letters - 1]}\u2026"


def _on_ground(picture: Image.Image) -> Image.Image:
    tile = Image.new("RGB", (_TILE, _TILE), _GROUND)
    tile.paste(picture, ((_TILE - picture.width) // 2, (_TILE - picture.height) // 2))
    return tile


def _said(text: str) -> Image.Image:
    tile = Image.new("RGB", (_TILE, _TILE), _GROUND)
    ImageDraw.Draw(tile).text((_TILE // 2, _TILE // 2), text, "dimgray", ImageFont.load_default(_FONT), anchor="mm")
    return tile
