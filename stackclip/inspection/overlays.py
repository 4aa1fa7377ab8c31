"""A picture with what a method saw in it laid over, the outlines of its regions, and the bar that tells the colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stackclip.inspection.regions import Region
from stackclip.inspection.sheet import FONT, LINE, Scale, colours_of, share_of

__all__ = ["beside", "colour_bar", "overlay"]

OPAQUE = 0.75  # of the hottest colour
OUTLINE, UNDERLINE = (0, 255, 255), (0, 0, 0)
BAR = 16  # pixels: the height of the bar
STEPS = 64  # of the bar


def overlay(
    picture: Image.Image, scores: np.ndarray, scale: Scale, regions: Sequence[Region], size: tuple[int, int]
) -> Image.Image:
    """The picture at a size (width, height) in pixels; scores (H, W) tint it the more the higher they are.

    What is coldest shows the picture alone. Regions, in pixels of the picture, are outlined.
    """
    share = Image.fromarray(share_of(scores, scale).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    heat = np.clip(np.asarray(share), 0, 1)
    below = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BILINEAR), np.float64)
    weight = OPAQUE * np.minimum(1, 2 * heat)[..., None]
    painted = Image.fromarray((below * (1 - weight) + colours_of(heat) * weight).round().astype(np.uint8))
    draw = ImageDraw.Draw(painted)
    factor = np.array(size) / np.array(picture.size)
    width = max(1, max(size) // 320)
    for polygon in (polygon for region in regions for polygon in region.polygons):
        corners = [tuple(corner) for corner in polygon * factor - 0.5]
        draw.line(corners, UNDERLINE, width + 2, joint="curve")
        draw.line(corners, OUTLINE, width, joint="curve")
    return painted


def beside(picture: Image.Image, scores: np.ndarray, scale: Scale, regions: Sequence[Region]) -> Image.Image:
    """A picture, and beside it the same with its map laid over, both at the picture's own size."""
    canvas = Image.new("RGB", (2 * picture.width, picture.height))
    canvas.paste(picture.convert("RGB"), (0, 0))
    canvas.paste(overlay(picture, scores, scale, regions, picture.size), (picture.width, 0))
    return canvas


def colour_bar(scale: Scale, width: int) -> Image.Image:
    """A bar of the colours of a scale, the coldest on the left, with the scores that they stand for below."""
    canvas = Image.new("RGB", (width, BAR + LINE), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    steps = Image.fromarray(colours_of(np.linspace(0, 1, STEPS)[None]).round().astype(np.uint8))
    canvas.paste(steps.resize((width, BAR), Image.Resampling.BILINEAR), (0, 0))
    words = {scale.cold: f"{scale.cold:.4g}", scale.hot: f"{scale.hot:.4g}"}
    words |= {} if scale.threshold is None else {scale.threshold: f"anomalous above {scale.threshold:.4g}"}
    for value, text in words.items():
        place = (value - scale.cold) / (scale.hot - scale.cold) * (width - 1)
        left = min(max(0.0, place - draw.textlength(text, font) / 2), width - draw.textlength(text, font))
        draw.line((place, 0, place, BAR), fill="white" if value != scale.hot else "black")
        draw.text((left, BAR), text, fill="black", font=font)
    return canvas
