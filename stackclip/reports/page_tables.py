"""Tables as a page shows them: blocks of lines below heads that share titles, with a caption."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stackclip.reports.table import Figure, Summary, TableLine

__all__ = ["PageBlock", "PageCell", "PageHead", "PageLine", "PageTable", "metric_words", "plain_table", "titled"]


@dataclass(frozen=True, slots=True)
class PageHead:
    """What stands above a column: the title that it shares with its neighbours, and its own lines."""

    group: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageCell:
    """A figure, and its mark: 1 where it is better than all others that it is tested against, 2 than all but one."""

    figure: Figure
    mark: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class PageLine:
    """A line of a table, with None where it has no cell; `beside` is one that was not measured."""

    label: str
    cells: tuple[PageCell | None, ...]
    beside: bool = False


@dataclass(frozen=True, slots=True)
class PageBlock:
    """Lines below a title of their own, if they have one."""

    title: str
    lines: tuple[PageLine, ...]


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table for a page: a short title, the sentences of its caption, heads, blocks of lines, and remarks on it."""

    title: str
    caption: tuple[str, ...]
    corner: str
    heads: tuple[PageHead, ...]
    blocks: tuple[PageBlock, ...]
    remarks: tuple[str, ...] = ()


def titled(blocks: list[PageBlock]) -> tuple[PageBlock, ...]:
    """The blocks; of one alone the title says nothing."""
    return tuple(blocks) if len(blocks) > 1 else tuple(replace(block, title="") for block in blocks)


def metric_words(name: str) -> tuple[str, ...]:
    """A metric's name as the lines of a head: `image`, `AUROC`."""
    return tuple(name.split("_"))


def plain_table(table: Summary) -> PageTable:
    """One table with its own columns, a block for each category or kind of defect; nothing of it is tested."""
    parts = {line.category: line.part for line in table.lines}
    blocks = [
        PageBlock(part, tuple(_line(line) for line in table.lines if line.category == each))
        for each, part in parts.items()
    ]
    heads = tuple(PageHead("", (name,) if table.over_shots else metric_words(name)) for name in table.metrics)
    if table.by_defect:
        return PageTable(table.title, (table.title,), f"{table.part} and method", heads, tuple(blocks))
    return PageTable(table.title, (table.title,), table.corner, heads, titled(blocks))


def _line(line: TableLine) -> PageLine:
    return PageLine(line.label, tuple(PageCell(cell, failed=bool(line.error)) for cell in line.cells), line.beside)
