"""What methods are worth with more and more normal pictures, as a picture: a panel for each metric, a line a method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stackclip.benchmarks.facts import facts_of
from stackclip.errors import StackclipError
from stackclip.ops.words import counted, legible
from stackclip.reports.plot import HEAD, INK, LETTERS, PANEL, Appearance, check_plot, save, soften
from stackclip.reports.shots import ShotCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_shots", "plot_shots"]

_HEIGHT = 2.8  # inches of a panel


def plot_shots(found: Sequence[ShotCurves], path: Path) -> None:
    """Draw curves over shots into a file. Raises what `check_plot` raises, StackclipError where there are none."""
    check_plot(path)
    if not found:
        raise StackclipError("no method was measured with several numbers of shots: bench --suite few-shot-curve does")
    save(lambda: draw_shots(found), path)


def draw_shots(found: Sequence[ShotCurves]) -> Figure:
    """A figure with a band of panels for each pair of training and test sets."""
    from matplotlib.figure import Figure

    width = PANEL * max(len(curves.measured) for curves in found)
    figure = Figure(figsize=(width, (HEAD + _HEIGHT) * len(found)), layout="constrained")
    bands = figure.subfigures(len(found), squeeze=False, hspace=0.04)[:, 0]
    names = dict.fromkeys(method for curves in found for method in curves.methods)
    looks = {name: Appearance.of(number) for number, name in enumerate(names)}
    for band, curves in zip(bands, found, strict=True):
        _draw_band(band, curves, looks, int(width * LETTERS))
    return figure


def _draw_band(band: SubFigure, curves: ShotCurves, looks: Mapping[str, Appearance], letters: int) -> None:
    """The panels of one pair of sets below their title; a line of small print holds so many letters."""
    panels = band.subplots(1, len(curves.measured), squeeze=False)[0]
    for panel, metric in zip(panels, curves.measured, strict=True):
        _draw_panel(panel, curves, metric, looks)
    panels[0].set_ylabel("percent", color=INK)
    keys = [panels[0].lines[place] for place in range(len(curves.methods))]
    longest = max(map(len, curves.methods)) + 8
    columns = max(1, min(len(keys), letters // longest))
    names = [legible(method) for method in curves.methods]
    band.legend(keys, names, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)
    facts = facts_of(curves.rows[0])
    seeds = len({row.seed for row in curves.rows})
    spread = f"mean and standard deviation over {counted(seeds, 'seed')}; " if seeds > 1 else ""
    small = [f"{spread}tower: {facts.tower}", *([facts.note] if facts.note else [])]
    lines = [line for text in (curves.title, *small) for line in textwrap.wrap(legible(text), letters)]
    band.suptitle("\n".join(lines), x=0.01, ha="left", fontsize="medium", color=INK)


def _draw_panel(panel: Axes, curves: ShotCurves, metric: str, looks: Mapping[str, Appearance]) -> None:
    """One metric: a line for each method, through the amounts at which it was measured."""
    for method, figures in curves.figures(metric).items():
        known = [(place, each) for place, each in enumerate(figures) if each.value is not None]
        places = [place for place, _ in known]
        means = [100 * (each.value or 0.0) for _, each in known]
        spreads = [100 * (each.spread or 0.0) for _, each in known]
        look = looks[method]
        panel.plot(places, means, look.mark, color=look.colour, linestyle=look.stroke, linewidth=1.6, markersize=4)
        low, high = ([mean + side * spread for mean, spread in zip(means, spreads, strict=True)] for side in (-1, 1))
        panel.fill_between(places, low, high, color=look.colour, alpha=0.15, linewidth=0)
    panel.set_title(metric.replace("_", " "), color=INK, fontweight="bold")
    panel.set_xticks(range(len(curves.amounts)), [str(amount) for amount in curves.amounts])
    panel.set_xlabel("normal pictures shown", color=INK)
    soften(panel)
