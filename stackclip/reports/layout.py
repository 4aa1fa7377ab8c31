"""Where columns and lines go: panels are no wider than a line of LaTeX's article, tables no longer than its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from stackclip.reports.page_tables import PageBlock, PageCell, PageHead, PageLine, PageTable
from stackclip.reports.table import Figure
from stackclip.reports.typeset import SMALL, longest, width_of

__all__ = ["SEP", "PageLayout", "PagePanel", "figure_texts", "indent"]

SEP = 5.0
"""Points between two columns."""

_LINE = 344.0  # points of a line
_LABEL, _PIECE, _HEAD = 110.0, 64.0, 40.0  # points: of labels, of a piece that is not broken, of heads that could be
_LINES = 36  # of a table, below its caption
_BOLD = 1.16  # how wide bold figures are

PagePanel = tuple[range, tuple[PageBlock, ...]]
"""Some columns of a table, and the blocks of lines below them."""


def figure_texts(figure: Figure) -> tuple[str, str, str, str]:
    """A figure in the parts that have sizes of their own: the number, its spread, of how many it is, its interval."""
    if figure.value is None:
        return "n/a", "", "", ""
    if figure.signed:
        return f"{100 * figure.value:+.1f}", "", "", ""
    low_high = "" if figure.interval is None else "[{:.1f}, {:.1f}]".format(*(100 * end for end in figure.interval))
    spread = "" if figure.spread is None else f"±{100 * figure.spread:.1f}"
    partial = "" if figure.counted == figure.of else f"{figure.counted}/{figure.of}"
    return f"{100 * figure.value:.1f}", spread, partial, low_high


def indent(line: PageLine) -> float:
    """The points before the label of a line that was not measured, which LaTeX calls a quad."""
    return 10.0 if line.beside else 0.0


@dataclass(frozen=True, slots=True)
class PageLayout:
    """The points that labels and every column take at most, and how many columns each panel has."""

    label: float
    column: float
    panels: tuple[int, ...]

    @classmethod
    def of(cls, page_table: PageTable) -> PageLayout:
        """The layout of a table with the fewest panels, then with the least broken labels."""
        groups = [(title, len(list(same))) for title, same in groupby(head.group for head in page_table.heads)]
        heads = [_head(text) for head in page_table.heads for text in head.lines]
        heads += [(min(longest(title), _PIECE) - (count - 1) * SEP) / count for title, count in groups]
        column = max(_width(page_table), *heads, 1.0)
        lines = [line for block in page_table.blocks for line in block.lines]
        wide = max(width_of(page_table.corner), *(width_of(line.label) + indent(line) for line in lines))
        least = max(longest(page_table.corner), *(longest(line.label) + indent(line) for line in lines))
        rooms = [min(wide, _LABEL), min(least, _PIECE)]
        counts = [count for _, count in groups]
        most = [(room, max(1, int((_LINE - room) / (column + SEP)))) for room in rooms]
        found = [cls(room, column, tuple(_panels(counts, several))) for room, several in most]
        return max(found, key=lambda layout: (-len(layout.panels), layout.label))

    def tables(self, page_table: PageTable) -> Iterator[list[PagePanel]]:
        """The panels of a table, as many together as a page holds."""
        table, filled = list[PagePanel](), 0
        for place, count in enumerate(self.panels):
            columns = range(sum(self.panels[:place]), sum(self.panels[:place]) + count)
            above = self._above(page_table.heads[columns.start : columns.stop])
            for blocks, height in self._pages(page_table.blocks, above):
                if table and filled + height > _LINES:
                    yield table
                    table, filled = [], 0
                table.append((columns, blocks))
                filled += height
        yield table

    def _above(self, heads: Sequence[PageHead]) -> int:
        """The lines that heads take with their titles."""
        groups = [(title, len(list(same))) for title, same in groupby(head.group for head in heads)]
        titles = (_height(title, count * (self.column + SEP) - SEP) for title, count in groups if title)
        return (
            max(titles, default=0) + max(sum(_height(each, self.column, SMALL) for each in x.lines) for x in heads) + 1
        )

    def _pages(self, blocks: Sequence[PageBlock], above: int) -> Iterator[tuple[tuple[PageBlock, ...], int]]:
        """The blocks, cut where they would be longer than a page; the height of each piece in lines."""
        page, height = list[PageBlock](), above
        for block in blocks:
            page, height = [*page, PageBlock(block.title, ())], height + bool(block.title)
            for line in block.lines:
                if page[-1].lines and height + self._height(line) > _LINES:
                    yield tuple(page), height
                    page, height = [PageBlock(block.title, ())], above + bool(block.title)
                page[-1] = PageBlock(block.title, (*page[-1].lines, line))
                height += self._height(line)
        yield tuple(page), height

    def _height(self, line: PageLine) -> int:
        """The lines that a line takes: its label where that is broken, and its intervals."""
        intervals = any(cell and cell.figure.interval for cell in line.cells)
        return _height(line.label, self.label - indent(line)) + intervals


def _panels(groups: Sequence[int], most: int) -> list[int]:
    """How many columns stand side by side in each panel, where `most` could: whole groups if they fit, evenly."""
    if max(groups) > most:
        parts = [(count, ceil(count / most)) for count in groups]
        return [(count + place) // panels for count, panels in parts for place in range(panels)]
    greedy = [0]
    for count in groups:
        greedy = [*greedy[:-1], greedy[-1] + count] if greedy[-1] + count <= most else [*greedy, count]
    step = ceil(len(groups) / len(greedy))
    even = [sum(groups[first : first + step]) for first in range(0, len(groups), step)]
    return even if max(even) <= most else greedy


def _height(text: str, room: float, scale: float = 1.0) -> int:
    """The lines that a text takes; broken ones end early."""
    wide = scale * width_of(text)
    return 1 if wide <= room else ceil(1.25 * wide / room)


def _width(page_table: PageTable) -> float:
    cells = (cell for block in page_table.blocks for line in block.lines for cell in line.cells if cell)
    return max(map(_width_of_cell, cells), default=0.0)


def _width_of_cell(cell: PageCell) -> float:
    number, *small, interval = figure_texts(cell.figure)
    text = "failed" if cell.failed and cell.figure.value is None else number
    return max(_BOLD * width_of(text) + SMALL * sum(map(width_of, small)), SMALL * width_of(interval))


def _head(text: str) -> float:
    """The room of a head: as wide as it is, or as its pieces are where it can be broken."""
    return SMALL * min(width_of(text), max(_HEAD, min(longest(text), _PIECE)))
