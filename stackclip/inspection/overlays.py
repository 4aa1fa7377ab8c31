"""A picture with what a method saw in it laid over, the outlines of its regions, and the bar that tells the colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stackclip.inspection.regions import Region
from stackclip.inspection.sheet import FONT, LINE, MARGIN, Scale, colours_of, share_of

__all__ = ["beside", "overlay"]

SMALLEST, LARGEST = 320, 1024  # pixels of the longer side of a picture as it is shown
OPAQUE = 0.75  # of the hottest colour
OUTLINE, UNDERLINE = (0, 255, 255), (0, 0, 0)
BAR, LABEL = 16, 84  # pixels: the width of the bar, and of what stands beside it
CHEQUES = 64  # steps of the bar


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
    """A picture, the same with its map laid over, and the bar of colours with the scores that they stand for."""
    factor = min(LARGEST / max(picture.size), max(1.0, SMALLEST / max(picture.size)))
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    height = max(size[1], 6 * LINE)
    canvas = Image.new("RGB", (2 * (size[0] + MARGIN) + BAR + LABEL, height), "white")
    canvas.paste(picture.convert("RGB").resize(size, Image.Resampling.BILINEAR), (0, 0))
    canvas.paste(overlay(picture, scores, scale, regions, size), (size[0] + MARGIN, 0))
    _bar(canvas, 2 * (size[0] + MARGIN), scale)
    return canvas


def _bar(canvas: Image.Image, left: int, scale: Scale) -> None:
    """Draw the bar of colours at the height of the canvas, the hottest on top."""
    steps = np.linspace(1, 0, CHEQUES)[:, None]
    bar = Image.fromarray(colours_of(steps).round().astype(np.uint8))
    canvas.paste(bar.resize((BAR, canvas.height), Image.Resampling.BILINEAR), (left, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    marks = {scale.hot: "", scale.cold: ""} | ({} if scale.threshold is None else {scale.threshold: "anomalous"})
    for value, word in marks.items():
        place = round((1 - (value - scale.cold) / (scale.hot - scale.cold)) * (canvas.height - 1))
        top = min(max(0, place - LINE // 2), canvas.height - LINE)
        draw.line((left, place, left + BAR + 3, place), fill="black")
        draw.text((left + BAR + MARGIN, top), f"{value:.4g}", fill="black", font=font)
        if word:
            draw.text((left + BAR + MARGIN, max(0, top - LINE)), word, fill="black", font=font)
