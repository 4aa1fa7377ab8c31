"""A contact sheet: the most anomalous pictures first, each with its score and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from stackclip.inspection.overlays import colour_bar
from stackclip.inspection.sheet import FONT, LINE, MARGIN, Scale
from stackclip.inspection.tables import verdict_word
from stackclip.ops.words import counted, drawable

__all__ = ["MOST", "TILE", "Tile", "worst_first"]

MOST = 40  # pictures on a sheet
TILE, COLUMNS = 200, 8  # pixels of the longer side of a picture; pictures in a row
LETTERS = 26  # of a name, its end
_RED, _GREEN = "#b00020", "#006e3c"


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture of up to TILE pixels, its name, its score in words, and its verdict, empty where there is none."""

    picture: Image.Image
    name: str
    score: str
    verdict: str = ""


def worst_first(tiles: Sequence[Tile], *, of: int, title: str, scale: Scale, note: str = "") -> Image.Image:
    """Tiles in rows, as they come; `of` is how many pictures there are in all, the scale and the note stand below."""
    step, line = TILE + MARGIN, TILE + 2 * LINE + MARGIN
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    width = max(MARGIN + columns * step, 4 * TILE)
    bar = colour_bar(scale, width - 2 * MARGIN)
    canvas = Image.new("RGB", (width, 2 * (LINE + MARGIN) + rows * line + bar.height + MARGIN), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    draw.text((MARGIN, MARGIN // 2), drawable(f"{title}: {_shown(len(tiles), of)}"), fill="black", font=font)
    for place, tile in enumerate(tiles):
        left, top = MARGIN + place % columns * step, LINE + MARGIN + place // columns * line
        canvas.paste(tile.picture, (left, top))
        name = tile.name if len(tile.name) <= LETTERS else f"…{tile.name[1 - LETTERS :]}"
        draw.text((left, top + TILE), drawable(name), fill="black", font=font)
        colour = {"": "dimgray", verdict_word(True): _RED, verdict_word(False): _GREEN}[tile.verdict]
        said = " ".join(each for each in (f"{place + 1}.", tile.score, tile.verdict) if each)
        draw.text((left, top + TILE + LINE), said, fill=colour, font=font)
    canvas.paste(bar, (MARGIN, LINE + MARGIN + rows * line))
    draw.text((MARGIN, canvas.height - LINE - MARGIN // 2), drawable(note), fill="dimgray", font=font)
    return canvas


def _shown(number: int, of: int) -> str:
    most = "" if number == of else f" with the highest scores, of {of}"
    return f"{counted(number, 'picture')}{most}, the most anomalous first"
