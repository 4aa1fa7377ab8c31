"""Sheets of named examples, to look at: every pattern, shape and defect with its mask, every assembly and anomaly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stackclip.synthetic.arrangement import LOGICAL
from stackclip.synthetic.assembled import STRUCTURAL, Photo, draw_assembly
from stackclip.synthetic.assemblies import ASSEMBLIES
from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.goods import GOODS
from stackclip.synthetic.patterns import PATTERNS
from stackclip.synthetic.scene import draw, draw_pair
from stackclip.synthetic.shapes import SHAPES
from stackclip.types import GOOD

__all__ = ["SHEETS", "SheetName", "contact_sheet"]

SheetName: TypeAlias = Literal["patterns", "shapes", "defects", "assemblies"]
SHEETS: tuple[SheetName, ...] = ("patterns", "shapes", "defects", "assemblies")

_MARKER = (255, 0, 200)
_PAPER, _INK = (250, 249, 247), (40, 40, 44)
_SHOWN_ON = ("plain-disc", "woven-surface", "brushed-bottle")
_SHOWN_IN = ("plain", "striped", "brushed")


def contact_sheet(what: SheetName, *, size: int = 160, seed: int = 7) -> Image.Image:
    """A picture of all examples of one sort with their names; `size` is the side of each in pixels.

    A defect is shown on three products: good, defective, mask. An anomaly is shown in each assembly, outlined.
    """
    if what == "patterns":
        cards = {name: [draw(name, shape, seed=seed, size=size) for shape in ("surface", "pill")] for name in PATTERNS}
        return _laid_out(cards, columns=3)
    if what == "shapes":
        cards = {
            name: [draw(pattern, name, seed=seed, size=size) for pattern in _SHOWN_IN] for name in (*SHAPES, *GOODS)
        }
        return _laid_out(cards, columns=2)
    if what == "assemblies":
        kinds = (GOOD, *LOGICAL, *STRUCTURAL)
        photos = {kind: [draw_assembly(name, kind, seed=seed, size=size) for name in ASSEMBLIES] for kind in kinds}
        return _laid_out({kind: [_outlined(photo) for photo in each] for kind, each in photos.items()}, columns=2)
    return _laid_out({kind: _examples(kind, size, seed) for kind in DEFECTS}, columns=1)


def _examples(kind: str, size: int, seed: int) -> list[NDArray[np.uint8]]:
    pictures: list[NDArray[np.uint8]] = []
    for category in _SHOWN_ON:
        pair = draw_pair(category, kind, seed=seed, size=size)
        pictures += [pair.good, pair.defective, pair.mask.astype(np.uint8)[..., None].repeat(3, 2) * np.uint8(255)]
    return pictures


def _outlined(photo: Photo) -> NDArray[np.uint8]:
    """The photo with a line around each of its defects."""
    from scipy.ndimage import binary_erosion

    pixels = photo.pixels.copy()
    for defect in photo.defects:
        pixels[defect.mask ^ binary_erosion(defect.mask)] = _MARKER
    return pixels


def _laid_out(cards: Mapping[str, Sequence[NDArray[np.uint8]]], *, columns: int) -> Image.Image:
    first = next(iter(cards.values()))
    side, gap = first[0].shape[0], 8
    line = max(14, side // 8)
    wide, tall = len(first) * (side + gap) + 2 * gap, side + line + 2 * gap
    rows = -(-len(cards) // columns)
    paper = Image.new("RGB", (columns * wide + gap, rows * tall + gap), _PAPER)
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(line * 0.8)
    for number, (name, pictures) in enumerate(cards.items()):
        left, top = number % columns * wide + gap, number // columns * tall + gap
        pen.text((left, top), name, fill=_INK, font=font)
        for place, picture in enumerate(pictures):
            paper.paste(Image.fromarray(picture), (left + place * (side + gap), top + line + 2))
    return paper
