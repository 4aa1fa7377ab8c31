"""Heat maps of grids as a picture: a band for each grid, a panel for each metric; matplotlib draws it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from stackclip.errors import StackclipError
from stackclip.ops.words import legible
from stackclip.reports.heat import HeatCell, HeatMap
from stackclip.reports.plot import HATCH, INK, LETTERS, ONE_WAY, WHITE, check_plot, ink_on, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["BEST", "draw_heat", "plot_heat"]

BEST = "best in hindsight"
_CELL, _HEIGHT, _LABEL, _TOP = 1.15, 0.72, 0.085, 0.62  # inches: of a cell, a letter of a row's name, and small print
_WORD, _LINE = 16, 0.155  # letters of a value in a line, inches of a line
_LEAST = 3.6  # inches of a panel


def plot_heat(found: Sequence[HeatMap], path: Path) -> None:
    """Draw heat maps into a file. Raises what `check_plot` raises, StackclipError where there are none."""
    check_plot(path)
    if not found:
        raise StackclipError("no grid was measured: bench a name with values between |, stacked[clusters=1|2|3]")
    save(lambda: draw_heat(found), path)


def draw_heat(found: Sequence[HeatMap]) -> Figure:
    """A figure with a band for each grid of a table, and in it a panel for each metric."""
    from matplotlib.figure import Figure

    bands = [list(alike) for _, alike in groupby(found, key=lambda each: each.title)]
    width = max(sum(map(_width, band)) for band in bands)
    letters = int(width * LETTERS)
    heights = [max(map(_height, band)) + _LINE * len(_words(band, letters)) + _TOP for band in bands]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    drawn = figure.subfigures(len(bands), height_ratios=heights, squeeze=False, hspace=0.04)[:, 0]
    for place, band in zip(drawn, bands, strict=True):
        _draw_band(place, band, letters)
    return figure


def _draw_band(place: SubFigure, band: Sequence[HeatMap], letters: int) -> None:
    ratios = [_width(each) for each in band]
    for axes, each in zip(place.subplots(1, len(band), squeeze=False, width_ratios=ratios)[0], band, strict=True):
        _draw_panel(axes, each)
    place.suptitle("\n".join(_words(band, letters)), x=0.01, ha="left", fontsize="medium", color=INK)


def _words(band: Sequence[HeatMap], letters: int) -> list[str]:
    """What stands above the panels of a grid, in lines of so many letters."""
    hindsight = [f"{each.metric.replace('_', ' ')}, {BEST} (framed): {each.best}" for each in band]
    said = [band[0].title, band[0].about, *hindsight]
    return [line for text in said for line in textwrap.wrap(legible(text), letters)]


def _draw_panel(axes: Axes, heat: HeatMap) -> None:
    """The cells of one metric with what they hold, the best framed; what failed is hatched, what is no point blank."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    for (row, column), cell in heat.cells.items():
        x, y = heat.across.values.index(column), heat.down.values.index(row)
        colour = WHITE if cell.value is None else colormaps[ONE_WAY](heat.share(cell))
        hatch = HATCH if cell.value is None else None
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="#AAAAAA", hatch=hatch, linewidth=0.8))
        if cell.is_best:
            for edge, stroke in (("#FFFFFF", 4.5), ("#D55E00", 2.2)):
                axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=edge, linewidth=stroke, zorder=3))
        _write(axes, x + 0.5, y + 0.5, cell, ink_on(colour))
    axes.set(xlim=(-0.04, len(heat.across.values) + 0.04), ylim=(len(heat.down.values) + 0.04, -0.04))
    axes.set_xticks([x + 0.5 for x in range(len(heat.across.values))], [_named(each) for each in heat.across.values])
    axes.set_yticks([y + 0.5 for y in range(len(heat.down.values))], [_named(each) for each in heat.down.values])
    axes.set_xlabel(legible(heat.across.name), color=INK)
    axes.set_ylabel(legible(heat.down.name), color=INK)
    axes.set_title(f"{heat.metric.replace('_', ' ')}, percent", color=INK, fontweight="bold")
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)


def _write(axes: Axes, x: float, y: float, cell: HeatCell, colour: str) -> None:
    """What stands in a cell: its value, the spread small below it, and that it holds the best point."""
    value, *small = cell.lines
    small += [BEST] if cell.is_best else []
    behind = {"facecolor": "#FFFFFF", "edgecolor": "none", "pad": 1} if cell.value is None else None
    height = 0.13 * len(small)
    axes.text(x, y - height, value, ha="center", va="center", color=colour, fontsize="large", bbox=behind, zorder=4)
    axes.text(
        x, y + 0.26 - height / 2, "\n".join(small), ha="center", va="center", color=colour, fontsize=6.5, zorder=4
    )


def _named(value: str) -> str:
    """A value in lines that are no longer than a cell is wide."""
    lines = [""]
    for piece in re.split(r"(?<=[\[,=+])", legible(value)):
        whole = lines[-1] + piece
        lines[-1:] = [whole] if len(whole) <= _WORD or not lines[-1] else [lines[-1], piece]
    return "\n".join(part for line in lines for part in textwrap.wrap(line, _WORD))


def _width(heat: HeatMap) -> float:
    longest = max(len(line) for value in heat.down.values for line in (_named(value).splitlines() or [""]))
    return max(_CELL * len(heat.across.values) + _LABEL * longest + 0.5, _LEAST)


def _height(heat: HeatMap) -> float:
    lines = max(len(_named(value).splitlines()) for value in heat.across.values)
    return _HEIGHT * len(heat.down.values) + _LINE * lines
