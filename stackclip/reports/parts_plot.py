"""What the parts of a method are worth, as a picture: points with intervals, and where, as a map of differences."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stackclip.errors import StackclipError
from stackclip.ops.words import legible
from stackclip.reports.parts_report import PartsReport
from stackclip.reports.plot import BOTH_WAYS, HEAD, INK, LETTERS, LINE_COLOURS, check_plot, ink_on, save, soften
from stackclip.studies.ablation import ADDED, AWAY
from stackclip.studies.worth import Worth, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_ablation", "plot_ablation"]

_LEFT, _LINE, _CELL = 6.4, 0.42, 0.62  # inches: the left panel with its names, a part's height, a category's width
_NAME = 34  # letters of a part's name in a line
_LOOKS = {AWAY: (LINE_COLOURS[0], "o", -0.14), ADDED: (LINE_COLOURS[1], "s", 0.14)}
_LEAST = 0.01  # of the difference at the ends of a scale, so that noise is not loud
_WIDE = 2.5  # times as far as values and their intervals over pictures an axis goes for those over categories


def plot_ablation(report: PartsReport, path: Path) -> None:
    """Draw what parts are worth into a file. Raises what `check_plot` does, StackclipError where nothing is told."""
    check_plot(path)
    if not any(each.pictures for each in report.worths):
        raise StackclipError("there is nothing to draw: no part could be compared")
    save(lambda: draw_ablation(report), path)


def draw_ablation(report: PartsReport) -> Figure:
    """A figure with a band for each tested set and metric: worth on the left, categories on the right."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    groups = [group for group in report.groups if any(each.pictures for each in group)]
    most = max(len(_categories(group)) for group in groups)
    width = _LEFT + (max(2.4, _CELL * most + 1.2) if most > 1 else 0)
    heights = [HEAD + _LINE * len(_names(group)) for group in groups]
    figure = Figure(figsize=(width, sum(heights) + 0.7), layout="constrained")
    bands = figure.subfigures(len(groups), height_ratios=heights, squeeze=False, hspace=0.03)[:, 0]
    for band, group in zip(bands, groups, strict=True):
        _draw_group(band, group, (_LEFT, width - _LEFT))
    keys = [Line2D([], [], color=colour, marker=mark, linewidth=3) for colour, mark, _ in _LOOKS.values()]
    figure.legend(keys, list(_LOOKS), loc="outside lower left", ncols=2, frameon=False, labelcolor=INK)
    title = textwrap.wrap(legible(f"{report.ablation.full}: {'; '.join(report.about)}"), int(width * LETTERS))
    figure.suptitle("\n".join(title), x=0.01, ha="left", fontsize="medium", color=INK)
    return figure


def _draw_group(band: SubFigure, group: Sequence[Worth], widths: tuple[float, float]) -> None:
    """The two panels of one tested set and metric; of one category the left one alone."""
    names, categories = _names(group), _categories(group)
    sides = 2 if len(categories) > 1 else 1
    panels = band.subplots(1, sides, squeeze=False, width_ratios=widths[:sides])[0]
    _draw_worth(panels[0], group, names)
    title = textwrap.shorten(legible(f"{group[0].metric.replace('_', ' ')}, tested on {group[0].test_on}"), 70)
    panels[0].set_title(title, color=INK, fontweight="bold", loc="left", fontsize="medium")
    if sides == 2:
        _draw_where(panels[1], group, names, categories)


def _draw_worth(panel: Axes, group: Sequence[Worth], names: Sequence[str]) -> None:
    """A point for each part and way: thick its interval over pictures, thin that over categories."""
    panel.axvline(0, color=INK, linewidth=0.8)
    reach = _reach(group)
    panel.set_xlim(-reach, reach)
    for each in group:
        if each.pictures is None:
            continue
        colour, mark, shift = _LOOKS[each.contrast.way]
        at, found = names.index(each.contrast.name) + shift, each.pictures.difference
        if wide := each.categories:
            panel.hlines(at, 100 * wide.low, 100 * wide.high, color=colour, linewidth=0.9)
            if 100 * wide.low < -reach:
                panel.plot(-reach, at, "<", color=colour, markersize=5, clip_on=False)
            if 100 * wide.high > reach:
                panel.plot(reach, at, ">", color=colour, markersize=5, clip_on=False)
        panel.hlines(at, 100 * found.low, 100 * found.high, color=colour, linewidth=3, alpha=0.55)
        panel.plot(100 * found.value, at, mark, color=colour, markersize=5)
    panel.set_yticks(range(len(names)), [textwrap.fill(legible(name), _NAME) for name in names])
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlabel("points; thick: for other pictures, thin: for other categories (> goes on)", color=INK)
    soften(panel)


def _reach(group: Sequence[Worth]) -> float:
    """How many points either way an axis shows: what two or three categories leave open does not hide the rest."""
    near = [0.0]
    for found in (each.pictures.difference for each in group if each.pictures):
        near += [abs(found.value), abs(found.low), abs(found.high)]
    far = [abs(end) for each in group if each.categories for end in (each.categories.low, each.categories.high)]
    return 100 * max(_LEAST, 1.1 * max(near), min(1.1 * max(far, default=0.0), _WIDE * max(near)))


def _draw_where(panel: Axes, group: Sequence[Worth], names: Sequence[str], categories: Sequence[str]) -> None:
    """A map of parts by categories: what each is worth where it is taken away."""
    values = np.full((len(names), len(categories)), np.nan)
    for each in group:
        for name, found in each.of_category.items() if each.contrast.way == AWAY else ():
            values[names.index(each.contrast.name), categories.index(name)] = found.difference.value
    most = max(_LEAST, float(np.nanmax(np.abs(values), initial=0.0)))
    map_of = panel.imshow(values, cmap=BOTH_WAYS, vmin=-most, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "" if np.isnan(value) else points(value)
        ink = ink_on(tuple(map_of.to_rgba(value)))
        panel.text(column, row, text, ha="center", va="center", fontsize="small", color=ink)
    shown = [textwrap.shorten(legible(name), 22, placeholder="…") for name in categories]
    panel.set_xticks(range(len(categories)), shown, rotation=35, ha="right", rotation_mode="anchor")
    panel.set_yticks([])
    panel.set_title("taken away, by category", color=INK, loc="left", fontsize="medium")
    panel.spines[:].set_visible(False)
    panel.tick_params(colors=INK, length=0)


def _names(group: Sequence[Worth]) -> list[str]:
    return list(dict.fromkeys(each.contrast.name for each in group))


def _categories(group: Sequence[Worth]) -> list[str]:
    return list(dict.fromkeys(name for each in group for name in each.of_category))
