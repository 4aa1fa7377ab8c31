"""Pictures of predictions: a picture, its mask and the heat map of every method, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stackclip.ops.colours import HEAT_STOPS
from stackclip.ops.words import drawable

__all__ = ["Scale", "ScaleSample", "colours_of", "fitted_size", "heat_map", "scale_of", "share_of", "sheet", "step_at"]

COLD, HOT = 90.0, 99.8  # percentiles of the normal pixels' and of all scores at the ends of the scale
PIXELS = 1 << 22  # of all maps together, evenly spread, that a scale is taken from
MARGIN, LINE, FONT = 6, 20, 15  # pixels between tiles, and of a line of text


@dataclass(frozen=True, slots=True)
class Scale:
    """The scores at which a heat map is coldest and hottest; one for all pictures of a method. `of` says of which.

    Above the `threshold`, where there is one, a pixel is anomalous.
    """

    cold: float
    hot: float
    of: str = ""
    threshold: float | None = None


class ScaleSample:
    """Takes maps and the masks beside them, one by one, and keeps an even part of their pixels for a common scale."""

    def __init__(self, pixels: int) -> None:
        """Of `pixels` in all maps together, PIXELS are kept, or all where they are fewer."""
        self._every = max(1, -(-pixels // PIXELS))
        self._scores: list[np.ndarray] = []
        self._normal: list[np.ndarray] = []

    def add(self, scores: np.ndarray, mask: np.ndarray) -> None:
        """Take a map (H, W) and its mask (H, W) bool."""
        some = scores.ravel()[:: self._every].copy()
        self._scores.append(some)
        self._normal.append(some[~mask.ravel()[:: self._every]])

    def ground(self) -> float | None:
        """The score that nine in ten of the normal pixels stay below; None without maps."""
        normal = np.concatenate(self._normal) if self._normal else np.empty(0)
        return float(np.percentile(normal, COLD)) if normal.size else None

    def scale(self) -> Scale | None:
        """Nine in ten of the normal pixels are coldest, the upper end of all scores is hottest; None without maps."""
        if not self._scores:
            return None
        found, normal = np.concatenate(self._scores), np.concatenate(self._normal)
        cold = float(np.percentile(normal if normal.size else found, COLD))
        hot = float(np.percentile(found, HOT))
        return Scale(cold, max(hot, cold + step_at(cold)))


def step_at(score: float) -> float:
    """A small step of a scale around a score, which floating point tells from none."""
    return max(1e-12, 1e-9 * abs(score))


def scale_of(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Scale:
    """A common scale of maps (H, W) with their masks."""
    sample = ScaleSample(sum(scores.size for scores in maps))
    for scores, mask in zip(maps, masks, strict=True):
        sample.add(scores, mask)
    scale = sample.scale()
    assert scale is not None
    return scale


def heat_map(scores: np.ndarray, scale: Scale) -> Image.Image:
    """Scores (H, W) as colours on a scale that was fixed before."""
    return Image.fromarray(colours_of(share_of(scores, scale)).round().astype(np.uint8))


def share_of(scores: np.ndarray, scale: Scale) -> np.ndarray:
    """How far up the scale scores are, from 0 (coldest) to 1 (hottest), in their shape."""
    share: np.ndarray = np.clip((scores.astype(np.float64) - scale.cold) / (scale.hot - scale.cold), 0, 1)
    return share


def colours_of(share: np.ndarray) -> np.ndarray:
    """The colours (..., 3), 0 to 255, of shares in [0, 1]."""
    stops = np.linspace(0, 1, len(HEAT_STOPS))
    return np.stack([np.interp(share, stops, HEAT_STOPS[:, channel]) for channel in range(3)], -1)


def fitted_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """A width and height in the same proportion, the longer of which is `longest`; none is less than a pixel."""
    width, height = size
    factor = longest / max(size)
    return max(1, round(width * factor)), max(1, round(height * factor))


def sheet(
    pictures: Sequence[Image.Image],
    masks: Sequence[np.ndarray],
    maps: Mapping[str, Sequence[np.ndarray]],
    *,
    names: Sequence[str],
    note: str = "",
    tile: int = 160,
) -> Image.Image:
    """One row a picture: the picture, its mask, then the map of each method on a scale of its own.

    `masks` are (H, W) bool, `maps` by method (H, W) each, of the whole picture; all are shown in the proportion of the
    picture, its longer side `tile` pixels, `note` below.
    """
    columns = ["picture", "mask", *maps]
    scales = {method: scale_of(of_method, masks) for method, of_method in maps.items()}
    step, head = tile + MARGIN, LINE + MARGIN
    sizes = [fitted_size(picture.size, tile) for picture in pictures]
    tops = [*accumulate((height + MARGIN + LINE for _, height in sizes), initial=head)]
    canvas = Image.new("RGB", (MARGIN + step * len(columns), tops[-1] + head), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    for column, title in enumerate(columns):
        draw.text((MARGIN + column * step, MARGIN // 2), drawable(title), fill="black", font=font)
    for row, (picture, mask, name) in enumerate(zip(pictures, masks, names, strict=True)):
        top, size = tops[row], sizes[row]
        tiles = [picture.convert("RGB"), Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB")]
        tiles += [heat_map(of_method[row], scales[method]) for method, of_method in maps.items()]
        for column, content in enumerate(tiles):
            canvas.paste(content.resize(size, Image.Resampling.BILINEAR), (MARGIN + column * step, top))
        draw.text((MARGIN, top + size[1]), drawable(name), fill="dimgray", font=font)
    said = "dark is normal, bright is anomalous, on one scale a method" + (f"; {drawable(note)}" if note else "")
    draw.text((MARGIN, canvas.height - head), said, fill="black", font=font)
    return canvas
