"""A sheet of pictures beside their masks' outlines, over all categories and defects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stackclip.data.images import picture_size, read_picture
from stackclip.data.masks import whole_mask
from stackclip.errors import PictureError
from stackclip.ops.spread import evenly
from stackclip.ops.words import drawable
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample

__all__ = ["chosen_samples", "outlined", "pair_sheet"]

_TILE, _MARGIN, _LINE, _FONT, _PAIRS = 210, 6, 20, 14, 3  # pixels; pairs in a row
_GOOD, _SLIMMEST = 2, 1 / 3  # good pictures of a category beside others; width by height of a tile, or the other way
_GROUND, _FRAME = (236, 236, 236), (200, 200, 200)
_OUTLINE, _EDGE = (255, 0, 190), (0, 0, 0)


def chosen_samples(samples: Iterable[Sample], most: int = 24) -> list[Sample]:
    """Some samples: two good ones of each category, and those of each of its defects in turn, evenly spread.

    Where nothing is known to be defective there may be more of the others.
    """
    groups: dict[tuple[str, str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.dataset, sample.category, sample.defect), []).append(sample)
    held = evenly(list(groups.values()), most)
    few = any(group[0].label == ANOMALOUS for group in held)
    rooms = [min(len(group), _GOOD) if few and group[0].defect == GOOD else len(group) for group in held]
    wanted = [0] * len(held)
    while sum(wanted) < min(most, sum(rooms)):
        for place, room in enumerate(rooms):
            if wanted[place] < room and sum(wanted) < most:
                wanted[place] += 1
    return [
        group[place * len(group) // count] for count, group in zip(wanted, held, strict=True) for place in range(count)
    ]


def pair_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Each picture as it is, and beside it with the outline of its mask; below both, category and defect.

    What cannot be read, and what is not there, is said in its place. Where nothing is defective the pictures are alone.
    """
    tile, alone = _tile(samples), all(sample.label == NORMAL for sample in samples)
    step, height = (1 if alone else 2) * (tile[0] + _MARGIN) + _MARGIN, tile[1] + _LINE + _MARGIN
    columns = min(_PAIRS * (2 if alone else 1), max(1, len(samples)))
    rows = -(-len(samples) // columns)
    canvas = Image.new("RGB", (columns * step + _MARGIN, rows * height + _MARGIN), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT)
    for number, sample in enumerate(samples):
        left, top = _MARGIN + number % columns * step, _MARGIN + number // columns * height
        for place, content in enumerate(_pair(sample, tile)[: 1 if alone else 2]):
            canvas.paste(content, (left + place * (tile[0] + _MARGIN), top))
        caption = _caption(sample, lambda text: draw.textlength(text, font=font) <= step - 2 * _MARGIN)
        draw.text((left, top + tile[1] + 2), caption, fill="black", font=font)
    return canvas


def _tile(samples: Sequence[Sample]) -> tuple[int, int]:
    """(width, height) of a tile: as slim as most pictures are, and of one area."""
    shapes = []
    for sample in samples:
        with suppress(PictureError):
            height, width = picture_size(sample.image)
            shapes.append(width / height)
    shape = min(max(median(shapes or [1.0]), _SLIMMEST), 1 / _SLIMMEST) ** 0.5
    return round(_TILE * shape), round(_TILE / shape)


def outlined(picture: Image.Image, mask: NDArray[np.bool_]) -> Image.Image:
    """A picture with a line around the anomalous pixels of a mask (H, W), which is scaled to it; none is hidden."""
    from scipy import ndimage

    scaled = Image.fromarray(mask.astype(np.uint8)).resize(picture.size, Image.Resampling.NEAREST)
    inside = np.array(scaled) > 0
    rows, columns = np.nonzero(mask)  # every anomalous pixel counts, however small it becomes
    inside[rows * inside.shape[0] // mask.shape[0], columns * inside.shape[1] // mask.shape[1]] = True
    pixels = np.array(picture.convert("RGB"))
    if inside.any():
        line = ndimage.binary_dilation(inside, np.ones((3, 3), bool))
        edge = ndimage.binary_dilation(line, np.ones((3, 3), bool))
        pixels[edge & ~line] = _EDGE
        pixels[line & ~inside] = _OUTLINE
    return Image.fromarray(pixels)


def _pair(sample: Sample, tile: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    try:
        picture = read_picture(sample.image)
    except PictureError:
        return _said("cannot be read", tile), _said("", tile)
    share = min(wanted / side for wanted, side in zip(tile, picture.size, strict=True))
    fitted = picture.resize([max(1, int(side * share)) for side in picture.size], Image.Resampling.LANCZOS)
    beside = _beside(sample, fitted)
    return _on_ground(fitted, tile), _said(beside, tile) if isinstance(beside, str) else _on_ground(beside, tile)


def _beside(sample: Sample, fitted: Image.Image) -> Image.Image | str:
    """What stands beside a picture: it with its outline, or in words why not."""
    if sample.defect in (GOOD, UNLABELLED) or sample.label == NORMAL:
        return sample.defect
    if sample.mask is None:
        return "no mask"
    try:
        mask = whole_mask(sample)
    except PictureError:
        return "mask cannot be used" if sample.mask.exists() else "mask missing"
    return outlined(fitted, mask) if mask.any() else "mask is empty"


def _caption(sample: Sample, fits: Callable[[str], bool]) -> str:
    """Category, defect and where the file lies, as much of them as fits."""
    word = sample.defect if sample.label == ANOMALOUS else sample.split
    place = "/".join(PurePosixPath(sample.id).parts[-2:]).removeprefix(f"{sample.defect}/")
    texts = (f"{sample.category}, {word}: {place}", f"{word}: {place}", f"{word}: {sample.image.name}")
    text = next((drawable(each) for each in texts if fits(drawable(each))), drawable(sample.image.name))
    while len(text) > 1 and not fits(text):
        text = f"{text[:-2]}\u2026"
    return text


def _on_ground(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    tile = Image.new("RGB", size, _GROUND)
    tile.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    ImageDraw.Draw(tile).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=_FRAME)
    return tile


def _said(text: str, size: tuple[int, int]) -> Image.Image:
    tile = Image.new("RGB", size, _GROUND)
    where = (size[0] // 2, size[1] // 2)
    ImageDraw.Draw(tile).text(where, text, "dimgray", ImageFont.load_default(_FONT), anchor="mm")
    return tile
