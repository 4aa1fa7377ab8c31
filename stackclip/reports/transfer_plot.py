"""Who teaches whom, as a picture: a heat map of each method and metric, data sets by data sets."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from stackclip.benchmarks.facts import facts_of
from stackclip.errors import StackclipError
from stackclip.ops.words import legible
from stackclip.reports.plot import BOTH_WAYS, HATCH, INK, LETTERS, ONE_WAY, Colour, check_plot, ink_on, save
from stackclip.reports.table import Figure as TableFigure
from stackclip.reports.transfer import GAIN, MEAN, SINGLE, TransferTable, transfer_tables
from stackclip.reports.transfer_rows import Itself, TransferRows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_transfer", "plot_transfer"]

_CELL, _LINE, _AROUND, _HEAD = 0.72, 0.36, 1.5, 0.75  # inches of a cell, a line, and what stands around a panel
_LEAST = 0.005  # how far the ends of a scale are apart at least
_LONGEST = 22  # letters of a name at the edge
_LEGEND = "Where trainings are compared: orange is above, purple below the mean of all single sets that taught the same"


def plot_transfer(found: Sequence[TransferRows], path: Path) -> None:
    """Draw transfers into a file. Raises what `check_plot` raises, StackclipError where there are none."""
    check_plot(path)
    if not any(each.shown for each in found):
        raise StackclipError("no row is of a transfer between these data sets: bench --transfer measures them")
    save(lambda: draw_transfer(found), path)


def draw_transfer(found: Sequence[TransferRows]) -> Figure:
    """A figure with a band for each method, and one above for all: a panel for each metric, one scale for a metric."""
    from matplotlib.figure import Figure

    every = [transfer_tables(each) for each in found]
    bands = [(tables, band) for tables in every for band in _bands(tables)]
    wide = max(sum(_width(grid) for grid in band) for _, band in bands)
    heights = [_HEAD + _AROUND + _LINE * max(len(grid.lines) for grid in band) for _, band in bands]
    figure = Figure(figsize=(wide, sum(heights) + _HEAD), layout="constrained")
    drawn = figure.subfigures(len(bands), height_ratios=heights, squeeze=False, hspace=0.03)[:, 0]
    for subfigure, (tables, band) in zip(drawn, bands, strict=True):
        _draw_band(subfigure, band, tables, int(wide * LETTERS))
    facts = facts_of(found[0].rows[0])
    small = ". ".join(each for each in (f"tower: {facts.tower}", facts.note, "Hatched: not measured", _LEGEND) if each)
    figure.supxlabel(textwrap.fill(legible(small), int(wide * LETTERS)), x=0.01, ha="left", fontsize="small", color=INK)
    return figure


def _bands(tables: Sequence[TransferTable]) -> Iterator[list[TransferTable]]:
    """The tables of each method, those of all methods first."""
    for _, band in groupby(tables, key=lambda grid: grid.head.split(",", 1)[1]):
        yield list(band)


def _width(grid: TransferTable) -> float:
    return 2 * _AROUND + _CELL * len(_columns(grid))


def _columns(grid: TransferTable) -> list[int]:
    """The columns that are drawn: data sets, and last what a line is worth on all of them."""
    return [place for place, name in enumerate(grid.metrics) if name != MEAN or GAIN not in grid.metrics]


def _shades(grid: TransferTable) -> list[list[float | None]]:
    """What colours a figure in each drawn cell: itself, or where trainings are compared how far it is above the others.

    That is above the mean of all single sets that taught the same.
    """
    usual = next((line.cells for line in grid.lines if line.label == SINGLE), None)
    return [
        [_shade(line.cells[place], usual[place] if usual else None) for place in _columns(grid)] for line in grid.lines
    ]


def _shade(cell: TableFigure, usual: TableFigure | None) -> float | None:
    if cell.value is None or usual is None or cell.signed:
        return cell.value
    return None if usual.value is None else cell.value - usual.value


def _draw_band(band: SubFigure, grids: Sequence[TransferTable], tables: Sequence[TransferTable], letters: int) -> None:
    panels = band.subplots(1, len(grids), squeeze=False)[0]
    for panel, grid in zip(panels, grids, strict=True):
        _draw_panel(panel, grid, _colours(tables, grid))
    title = legible(grids[0].head.split(", ", 1)[1])
    band.suptitle(textwrap.fill(title, letters), x=0.01, ha="left", fontsize="medium", color=INK)


def _colours(tables: Sequence[TransferTable], grid: TransferTable) -> Callable[[float], Colour]:
    """The colours of a metric, alike in all tables of a kind: from least to greatest, or both ways from 0."""
    import matplotlib
    from matplotlib.colors import Normalize

    alike = [each for each in tables if each.over_shots == grid.over_shots and each.corner == grid.corner]
    found = [shade for each in alike for line in _shades(each) for shade in line if shade is not None]
    low, high = min(found, default=0.0), max(found, default=1.0)
    if GAIN in grid.metrics:
        most = max(abs(low), abs(high), _LEAST)
        low, high = -most, most
    scale, colours = (
        Normalize(low, max(high, low + _LEAST)),
        matplotlib.colormaps[BOTH_WAYS if GAIN in grid.metrics else ONE_WAY],
    )
    return lambda shade: colours(scale(shade))


def _draw_panel(panel: Axes, grid: TransferTable, colours: Callable[[float], Colour]) -> None:
    """One table: a square for each figure, its colour and number; the last column stands apart."""
    columns, shades = _columns(grid), _shades(grid)
    for down, line in enumerate(grid.lines):
        for across, (place, shade) in enumerate(zip(columns, shades[down], strict=True)):
            cell, at = line.cells[place], across + (0.15 if across == len(columns) - 1 else 0)
            _draw_cell(
                panel, (at, down), None if shade is None else colours(shade), hatched=not isinstance(cell, Itself)
            )
            if shade is not None:
                number = f"{100 * (cell.value or 0.0):{'+' if cell.signed else ''}.1f}"
                text, ink = number + "*" * (cell.counted < cell.of), ink_on(colours(shade))
                panel.text(at, down, text, ha="center", va="center", color=ink, fontsize="small")
    _draw_edges(panel, grid)


def _draw_cell(panel: Axes, place: tuple[float, float], colour: Colour | None, *, hatched: bool) -> None:
    from matplotlib.patches import Rectangle

    corner = (place[0] - 0.48, place[1] - 0.46)
    if colour is not None:
        panel.add_patch(Rectangle(corner, 0.96, 0.92, facecolor=colour))
    elif hatched:
        panel.add_patch(Rectangle(corner, 0.96, 0.92, facecolor="white", edgecolor="#999999", hatch=HATCH, linewidth=0))


def _draw_edges(panel: Axes, grid: TransferTable) -> None:
    names = [grid.metrics[place] for place in _columns(grid)]
    panel.set(xlim=(-0.55, len(names) - 0.3), ylim=(len(grid.lines) - 0.4, -0.6), aspect="auto")
    panel.set_xticks([*range(len(names) - 1), len(names) - 0.85], [*map(_short, names)], rotation=30)
    for label in panel.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(grid.lines)), [_short(line.label) for line in grid.lines])
    panel.set_xlabel("tested on", color=INK)
    panel.set_ylabel(grid.corner, color=INK)
    panel.set_title(grid.over_shots.replace("_", " "), color=INK, fontweight="bold")
    panel.spines[:].set_visible(False)
    panel.tick_params(colors=INK, length=0)


def _short(name: str) -> str:
    """A name in lines of so many letters."""
    return textwrap.fill(legible(name), _LONGEST)
