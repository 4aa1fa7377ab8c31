"""Mean ranks as a picture: an axis of ranks, and bars that join the methods that are not told apart."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackclip.errors import StackclipError
from stackclip.ops.words import legible
from stackclip.reports.plot import INK, check_plot, save
from stackclip.studies.ranks import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_ranks", "plot_ranks"]

_AXIS, _LETTER, _LINE, _BAR, _HEAD = 4.6, 0.082, 0.2, 0.11, 0.75  # inches: the axis, and what a letter and lines take
_ROW, _OVER = 0.16, 0.03  # inches: a line of small print; by how much bars are longer than what they join
_BOLD = 0.85  # how many letters of bold print take the place of one
_LONGEST = 42  # letters of a line of a name
_GAP = 0.12  # inches between the axis and the names


def plot_ranks(found: Sequence[Ranking], path: Path) -> None:
    """Draw rankings into a file. Raises what `check_plot` raises, StackclipError where there are none."""
    check_plot(path, "--ranks")
    if not found:
        raise StackclipError(
            "no ranks to draw: that takes two methods or more, measured on the same two categories or data sets"
        )
    save(lambda: draw_ranks(found), path)


def draw_ranks(found: Sequence[Ranking]) -> Figure:
    """A figure with a critical-difference diagram for each ranking, as Demšar draws them: the best method right."""
    from matplotlib.figure import Figure

    names = {name: _wrapped(name) for each in found for name in each.methods}
    side = max(len(line) for text in names.values() for line in text.split("\n")) * _LETTER + _GAP
    width = _AXIS + 2 * side
    words = [_words(each, int(width / _LETTER)) for each in found]
    heads = [_HEAD + _ROW * (len(title) + len(small)) for title, small in words]
    heights = [head + _depth(each, names) for head, each in zip(heads, found, strict=True)]
    figure = Figure(figsize=(width, sum(heights)))
    top = sum(heights)
    for each, said, head, height in zip(found, words, heads, heights, strict=True):
        top -= height
        axes = figure.add_axes((side / width, top / sum(heights), _AXIS / width, height / sum(heights)))
        axes.set_xlim(len(each.methods), 1)
        axes.set_ylim(height - head, -head)
        axes.axis("off")
        _draw(axes, each, names)
        _title(axes, said, len(each.methods) + (side - _GAP / 2) * _inch(each))
    return figure


def _inch(found: Ranking) -> float:
    """The ranks that are an inch of the axis."""
    return (len(found.methods) - 1) / _AXIS


def _wrapped(name: str) -> str:
    """A name in lines of so many letters, broken behind its commas as far as it has some."""
    lines = [""]
    for part in re.split(r"(?<=,)", legible(name)):
        lines = [*lines, ""] if lines[-1] and len(lines[-1] + part) > _LONGEST else lines
        lines[-1] += part
    return "\n".join(piece for line in lines for piece in textwrap.wrap(line, _LONGEST) or [""])


def _lines(name: str) -> int:
    return name.count("\n") + 1


def _sides(found: Ranking) -> tuple[list[str], list[str]]:
    """The better half of the methods, and the worse one from the worst on."""
    half = (len(found.methods) + 1) // 2
    return list(found.methods[:half]), list(found.methods[half:][::-1])


def _depth(found: Ranking, names: dict[str, str]) -> float:
    """The inches of a diagram below its axis."""
    most = max(sum(_lines(names[name]) for name in side) for side in _sides(found))
    return _BAR * (len(found.groups) + 1) + _LINE * (most + 1)


def _draw(axes: Axes, found: Ranking, names: dict[str, str]) -> None:
    """One diagram, in inches from the axis of ranks downwards; rank 1 stands right."""
    count = len(found.methods)
    axes.plot([1, count], [0, 0], color=INK, linewidth=1.2, clip_on=False)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, -0.06], color=INK, linewidth=1.2, clip_on=False)
        axes.text(rank, -0.09, str(rank), ha="center", va="bottom", color=INK)
    for place, group in enumerate(found.groups, start=1):
        ranks = [found.found.ranks[found.methods.index(name)] for name in group]
        ends = (min(ranks) - _OVER * _inch(found), max(ranks) + _OVER * _inch(found))
        axes.plot(ends, [_BAR * place] * 2, color=INK, linewidth=3.2, solid_capstyle="butt", clip_on=False)
    below = _BAR * (len(found.groups) + 1)
    for side, names_of_side in zip((1, count), _sides(found), strict=True):
        _name(axes, found, names, names_of_side, side, below)
    if found.distance is not None and found.distance <= count - 1:
        _distance(axes, count, found.distance)


def _name(axes: Axes, found: Ranking, names: dict[str, str], of_side: Sequence[str], side: float, below: float) -> None:
    """Lines from the mean ranks to the names beside the axis."""
    depth, right = below, side == 1
    gap = _GAP * _inch(found)
    edge = side - gap if right else side + gap
    for name in of_side:
        depth += _LINE * (_lines(names[name]) + 1) / 2
        rank = found.found.ranks[found.methods.index(name)]
        axes.plot([rank, rank, edge], [0, depth, depth], color=INK, linewidth=0.8, clip_on=False)
        past = edge - gap / 4 if right else edge + gap / 4
        axes.text(past, depth, names[name], ha="left" if right else "right", va="center", color=INK)
        depth += _LINE * (_lines(names[name]) - 1) / 2


def _distance(axes: Axes, count: int, distance: float) -> None:
    """The critical difference above the axis, from the worst rank on."""
    high = -0.38
    axes.plot([count, count - distance], [high, high], color=INK, linewidth=1.2, clip_on=False)
    for end in (count, count - distance):
        axes.plot([end, end], [high - 0.04, high + 0.04], color=INK, linewidth=1.2, clip_on=False)
    axes.text(count - distance / 2, high - 0.05, f"CD {distance:.2f}", ha="center", va="bottom", color=INK)


def _title(axes: Axes, words: tuple[list[str], list[str]], left: float) -> None:
    """What is ranked, and in small print how, above the rest."""
    high = axes.get_ylim()[1] + 0.08
    where: dict[str, Any] = {"ha": "left", "va": "top", "color": INK}
    title, small = words
    axes.text(left, high, "\n".join(title), fontweight="bold", **where)
    axes.text(left, high + _ROW * len(title), "\n".join(small), **where)


def _words(found: Ranking, letters: int) -> tuple[list[str], list[str]]:
    """The title and the small print, in lines of so many letters."""
    by = "Wilcoxon's tests with Holm's correction do" if found.distance is None else "Nemenyi's test does"
    told = (
        f"bars join methods that {by} not tell apart at p < .05" if found.differ else "no method is told from another"
    )
    small = [f"Friedman {found.chance_in_words}; {told}", *([f"tower: {found.tower}"] if found.tower else [])]
    small += [f"left out, as they lack some: {', '.join(found.left_out)}"] if found.left_out else []
    title = f"{found.metric.replace('_', ' ')}: mean ranks over {found.blocks}{found.title}"
    lines = [line for each in small for line in textwrap.wrap(legible(each), letters)]
    return textwrap.wrap(legible(title), int(letters * _BOLD)), lines
