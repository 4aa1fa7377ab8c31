"""The parts that a method found in a picture, drawn in colours with a legend that counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stackclip.inspection.sheet import FONT, LINE, MARGIN
from stackclip.methods import Inspector
from stackclip.methods.segmenter import PartMask
from stackclip.ops.words import counted, drawable
from stackclip.types import Features

__all__ = ["PartMasks", "draw_parts", "part_masks_of"]

PartMasks = Callable[[Features], Sequence[PartMask]]
"""The parts of each picture of a batch."""

# Blue, orange, green ...: told apart by those who see no red or no green (Okabe and Ito), then paler ones.
PART_COLOURS = np.array(
    [
        *((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0), (86, 180, 233)),
        *((240, 228, 66), (136, 34, 85), (68, 170, 153), (170, 68, 153), (153, 153, 51), (102, 17, 0)),
    ],
    np.uint8,
)
_TILE, _LEGEND = 320, 380  # pixels: the longer side of a picture, and the width of the legend
_PAINT, _FAINT = 0.65, 0.25  # of the colour over the picture, where parts are and where they are not


def part_masks_of(inspector: Inspector) -> PartMasks | None:
    """What gives the parts of pictures: an inspector's attribute `part_masks`, where it has one."""
    found: PartMasks | None = getattr(inspector, "part_masks", None)
    return found


def draw_parts(picture: Image.Image, mask: PartMask) -> Image.Image:
    """A picture, its regions, its parts in their colours, and the legend: how much each part takes, in how many pieces.

    Regions that count as background are faint. A share is of the picture; below it are those of the shots.
    """
    share = _TILE / max(picture.size)
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    picture = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    classes, regions = mask.classes.cpu().numpy(), mask.regions.cpu().numpy()
    in_front = (mask.region_classes != len(mask.coarse)).cpu().numpy()[regions]
    tiles = {
        "picture": picture,
        "regions": _painted(picture, regions, np.where(in_front, _PAINT, _FAINT)),
        "parts": _painted(picture, classes, np.where(classes < len(mask.names), _PAINT, 0)),
    }
    lines = list(_legend(mask))
    height = LINE + MARGIN + max(size[1], LINE * len(lines)) + MARGIN
    canvas = Image.new("RGB", (len(tiles) * (size[0] + MARGIN) + MARGIN + _LEGEND, height), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    for column, (title, tile) in enumerate(tiles.items()):
        left = MARGIN + column * (size[0] + MARGIN)
        draw.text((left, MARGIN // 2), title, fill="black", font=font)
        canvas.paste(tile, (left, LINE + MARGIN))
    left = canvas.width - _LEGEND
    for row, (colour, text) in enumerate(lines):
        top = LINE + MARGIN + row * LINE
        if colour is not None:
            draw.rectangle((left, top + 3, left + 13, top + 16), fill=colour)
        draw.text((left + LINE, top), drawable(text), fill="black" if colour else "dimgray", font=font)
    return canvas


def _legend(mask: PartMask) -> Iterator[tuple[tuple[int, ...] | None, str]]:
    """The lines of the legend, each with its colour or none."""
    places, counts, pieces = mask.classes.numel(), mask.histogram.tolist(), mask.pieces
    for part, name in enumerate(mask.names):
        yield _colour(part), f"{name}: {100 * counts[part] / places:.1f} % in {counted(pieces[part], 'piece')}"
        if mask.normal is not None:
            least, most = (
                100 * each[:, part] / places for each in (mask.normal.amin(0)[None], mask.normal.amax(0)[None])
            )
            yield None, f"shots {float(least):.1f} to {float(most):.1f} %"
    yield None, f"background: {100 - 100 * sum(counts) / places:.1f} %"
    for region, coarse in enumerate(mask.region_classes.tolist()):
        name = "not here" if coarse < 0 else (*mask.coarse, "background")[coarse]
        yield (_colour(region) if coarse >= 0 else None), f"region {region + 1}: {name}"


def _colour(number: int) -> tuple[int, ...]:
    return tuple(PART_COLOURS[number % len(PART_COLOURS)].tolist())


def _painted(picture: Image.Image, numbers: np.ndarray, paint: np.ndarray) -> Image.Image:
    """A picture, greyed, with the colours of numbers (r, c) over it, each place with as much `paint` as (r, c) says."""
    grey = np.asarray(picture.convert("L").convert("RGB"), np.float64)
    ends = zip(grey.shape[:2], numbers.shape, strict=True)
    rows, columns = ((np.arange(side) * places) // side for side, places in ends)
    share = paint[rows][:, columns, None]
    return Image.fromarray(
        ((1 - share) * grey + share * PART_COLOURS[numbers[rows][:, columns] % len(PART_COLOURS)])
        .round()
        .astype(np.uint8)
    )
