"""Training curves as a picture: a panel for each metric, a line for each method; matplotlib draws it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stackclip.benchmarks.curves import Chart, Curve, short
from stackclip.errors import StackclipError, UsageError
from stackclip.ops.files import write_atomically
from stackclip.ops.words import legible

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = [
    "BOTH_WAYS",
    "HATCH",
    "HEAD",
    "INK",
    "LETTERS",
    "LINE_COLOURS",
    "ONE_WAY",
    "PANEL",
    "SUFFIXES",
    "WHITE",
    "Appearance",
    "Colour",
    "check_plot",
    "draw_curves",
    "ink_on",
    "plot_curves",
    "save",
    "soften",
]

SUFFIXES = (".png", ".svg", ".pdf")
# Okabe and Ito's colours without yellow, which is too pale for a line; told apart by the colour-blind, darkest first.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
ONE_WAY, BOTH_WAYS = "cividis", "PuOr_r"  # by lightness; purple below, orange above: told apart by the colour-blind
WHITE, HATCH = (1.0, 1.0, 1.0, 1.0), "////"  # what has no value
Colour = tuple[float, float, float, float]
"""Red, green, blue and opacity, from 0 to 1."""
_STROKES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
INK, _PALE = "#333333", "#DDDDDD"
PANEL, _HEIGHT, _BAR, HEAD = 3.4, 2.5, 0.17, 1.3  # inches: a panel's width and height, a bar, all the words
LETTERS = 13  # of small print in an inch
_MARKED = 40  # points of a curve that are marked; more would be a caterpillar
_DOTS = 160  # a PNG's pixels per inch


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a method looks in all panels."""

    colour: str
    stroke: str
    mark: str

    @classmethod
    def of(cls, number: int) -> Appearance:
        """The look of the n-th method: all colours in full lines, then dashed ..."""
        turn, place = divmod(number, len(LINE_COLOURS))
        return cls(LINE_COLOURS[place], _STROKES[turn % len(_STROKES)], _MARKS[place])


def check_plot(path: Path, option: str = "--plot") -> None:
    """Raise UsageError for a picture of another kind than SUFFIXES, StackclipError where matplotlib is lacking."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: no plot is written as {path.suffix or 'that'}; wanted {', '.join(SUFFIXES)}")
    try:
        import matplotlib.figure  # noqa: F401 - whether it is there
    except ImportError:
        raise StackclipError(f"{option} needs matplotlib, which is not installed: pip install matplotlib") from None


def plot_curves(found: Sequence[Chart], path: Path) -> None:
    """Draw charts into a file. Raises what `check_plot` raises, StackclipError where there are none."""
    check_plot(path)
    if not found:
        raise StackclipError("no row has a training curve to plot; make some with: stackclip bench --eval-every epoch")
    save(lambda: draw_curves(found), path)


def save(draw: Callable[[], Figure], path: Path) -> None:
    """Draw a figure into a file, in the same bytes whenever it is drawn; text is no formula."""
    import matplotlib

    with matplotlib.rc_context(
        {"svg.hashsalt": "stackclip", "font.size": 9, "text.parse_math": False, "text.usetex": False}
    ):
        drawn, picture = draw(), io.BytesIO()
        dated = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[path.suffix]
        drawn.savefig(picture, format=path.suffix[1:], dpi=_DOTS, metadata=dated)
    write_atomically(path, picture.getvalue())


def draw_curves(found: Sequence[Chart]) -> Figure:
    """A figure with a band of panels for each chart: curves above, their spread over the last half below."""
    from matplotlib.figure import Figure

    width = PANEL * max(len(chart.metrics) for chart in found)
    letters = int(width * LETTERS)
    heights = [HEAD + _HEIGHT + _BAR * (len(c.lines) + len(c.lines) // _columns(c, letters)) for c in found]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    bands = figure.subfigures(len(found), height_ratios=heights, squeeze=False, hspace=0.04)[:, 0]
    looks = {name: Appearance.of(number) for number, name in enumerate(_names(found))}
    for band, chart in zip(bands, found, strict=True):
        _draw_chart(band, chart, looks, letters)
    return figure


def _draw_chart(band: SubFigure, chart: Chart, looks: Mapping[str, Appearance], letters: int) -> None:
    """The panels of one chart below its title; a line of small print holds so many letters."""
    ratios = [_HEIGHT, _BAR * (len(chart.lines) + 1)]
    panels = band.subplots(2, len(chart.metrics), squeeze=False, sharex="row", height_ratios=ratios)
    keys: list[Artist] = []
    for (above, below), metric in zip(panels.T, chart.metrics, strict=True):
        keys = [_draw_line(above, line, looks[line.method], metric) for line in chart.lines]
        for place, line in enumerate(chart.lines):
            _draw_bar(below, line, looks[line.method], metric, place)
        _plain(above, below)
        above.set_title(short(metric), color=INK, fontweight="bold")
        above.set_xlabel("optimiser steps", color=INK)
        above.xaxis.get_major_locator().set_params(integer=True)
        below.set_xlabel("standard deviation over the last half", color=INK)
        below.set_ylim(len(chart.lines) - 0.4, -0.6)
    panels[0, 0].set_ylabel("percent", color=INK)
    names = [_name(line, chart) for line in chart.lines]
    side_by_side = _columns(chart, letters)
    band.legend(keys, names, loc="outside lower center", ncols=side_by_side, frameon=False, labelcolor=INK)
    small = [line for text in _small_print(chart) for line in textwrap.wrap(text, letters)]
    title = textwrap.wrap(legible(chart.title), letters)
    band.suptitle("\n".join(title + small), x=0.01, ha="left", fontsize="medium", color=INK)


def _small_print(chart: Chart) -> Iterator[str]:
    """What a reader of a chart must know."""
    band = f"lines: the mean over {chart.seeds} seeds, bands: their standard deviation; " if chart.seeds > 1 else ""
    noun = "category" if chart.categories == 1 else "categories"
    yield f"{band}mean over {chart.categories} {noun}; tower: {legible(chart.tower)}"
    if chart.note:
        yield legible(chart.note)


def _names(found: Iterable[Chart]) -> Iterable[str]:
    """All methods, in the order that they come: a method looks alike in all charts."""
    return dict.fromkeys(line.method for chart in found for line in chart.lines)


def _name(line: Curve, chart: Chart) -> str:
    """A method, and of how many categories its line is where some failed."""
    some = f" ({line.categories} of {chart.categories} categories)" if line.categories < chart.categories else ""
    return legible(line.method) + some


def _columns(chart: Chart, letters: int) -> int:
    """How many names stand beside each other below a chart."""
    longest = max(len(_name(line, chart)) for line in chart.lines)
    return max(1, min(len(chart.lines), letters // (longest + 8)))


def _draw_line(axes: Axes, line: Curve, look: Appearance, metric: str) -> Artist:
    """A method's mean over seeds with a band around it; one that does not train has a level line."""
    values = line.values.get(metric)
    if values is None:
        return axes.plot([], [], color=look.colour, linestyle=look.stroke)[0]
    mean, spread = 100 * values.mean(0), 100 * values.std(0)
    if not line.steps:
        return axes.axhline(mean[0], color=look.colour, linestyle=":")
    if len(values) > 1:
        axes.fill_between(line.steps, mean - spread, mean + spread, color=look.colour, alpha=0.15, linewidth=0)
    mark = look.mark if len(line.steps) <= _MARKED else ""
    return axes.plot(line.steps, mean, mark, color=look.colour, linestyle=look.stroke, linewidth=1.6, markersize=3.5)[0]


def _draw_bar(axes: Axes, line: Curve, look: Appearance, metric: str, place: int) -> None:
    """How far a method's curve still moves at the end, with the number behind it."""
    spread = line.spread(metric)
    if spread is not None:
        axes.barh(place, 100 * spread, height=0.7, color=look.colour)
        text = f" {100 * spread:.2f}"
        axes.annotate(text, (100 * spread, place), va="center", fontsize="small", color=INK, annotation_clip=False)


def _plain(above: Axes, below: Axes) -> None:
    """Curves on a pale grid between two lines, bars beside one."""
    soften(above)
    below.spines[["top", "right", "bottom"]].set_visible(False)
    below.set(xticks=[], yticks=[])
    below.spines["left"].set_color(INK)
    below.tick_params(colors=INK, length=3)


def ink_on(colour: Sequence[float]) -> str:
    """Black or white, whichever is read better on red, green, blue and opacity (by luma, ITU-R BT.601)."""
    red, green, blue, _ = colour
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def soften(axes: Axes) -> None:
    """Curves on a pale grid between two lines."""
    axes.grid(color=_PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, length=3)
