"""Sheets of named examples, to look at: every pattern, every shape, every defect with its mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.patterns import PATTERNS
from stackclip.synthetic.scene import draw, draw_pair
from stackclip.synthetic.shapes import SHAPES

__all__ = ["contact_sheet"]

_PAPER, _INK = (250, 249, 247), (40, 40, 44)
_SHOWN_ON = ("plain-disc", "woven-surface", "brushed-bottle")
_SHOWN_IN = ("plain", "striped", "brushed")


def contact_sheet(what: Literal["patterns", "shapes", "defects"], *, size: int = 160, seed: int = 7) -> Image.Image:
    """A picture of all examples of one sort with their names; `size` is the side of each in pixels.

    A defect is shown on three products: good, defective, mask.
    """
    if what == "patterns":
        cards = {name: [draw(name, shape, seed=seed, size=size) for shape in ("surface", "pill")] for name in PATTERNS}
        return _laid_out(cards, columns=3)
    if what == "shapes":
        cards = {name: [draw(pattern, name, seed=seed, size=size) for pattern in _SHOWN_IN] for name in SHAPES}
        return _laid_out(cards, columns=2)
    return _laid_out({kind: _examples(kind, size, seed) for kind in DEFECTS}, columns=1)


def _examples(kind: str, size: int, seed: int) -> list[NDArray[np.uint8]]:
    pictures: list[NDArray[np.uint8]] = []
    for category in _SHOWN_ON:
        pair = draw_pair(category, kind, seed=seed, size=size)
        pictures += [pair.good, pair.defective, pair.mask.astype(np.uint8)[..., None].repeat(3, 2) * np.uint8(255)]
    return pictures


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
