"""A document on a terminal: titles, tables with the best bold and the second underlined, and the notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from stackclip.ops.words import legible
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.table import Summary, ranked

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text

__all__ = ["Block", "Terminal", "blocks", "rich_tables"]

_STYLES = {1: "bold", 2: "underline"}


class Block(NamedTuple):
    """Something to print; what wraps softly is one line however narrow the terminal is."""

    content: RichTable | Text
    soft_wrap: bool = False


@writers.register("txt")
class Terminal:
    """Text as a terminal without colours shows it.

    `width` is that of a line in characters.
    """

    def __init__(self, *, width: int = 160) -> None:
        self.width = width

    def write(self, document: Document) -> str:
        """The tables and the notes below them."""
        from rich.console import Console

        console = Console(width=self.width, file=io.StringIO(), color_system=None, force_terminal=False)
        with console.capture() as shown:
            for block in blocks(document):
                console.print(block.content, soft_wrap=block.soft_wrap)
        return shown.get()


def blocks(document: Document) -> Iterator[Block]:
    """The parts of a document in the order in which a terminal shows them; nothing in their text acts on it."""
    from rich.text import Text

    for summary, table in zip(document.tables, rich_tables(document.tables), strict=True):
        yield Block(Text(legible(summary.title), "bold"), soft_wrap=True)
        yield Block(table)
        for line in summary.compared:
            yield Block(Text(legible(line)))
    for note in document.notes:
        yield Block(Text(legible(f"- {note}"), "dim"))


def rich_tables(summaries: Iterable[Summary]) -> list[RichTable]:
    """Tables for a terminal: best bold, second underlined."""
    return [_rich_table(summary) for summary in summaries]


def _rich_table(summary: Summary) -> RichTable:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="dim", box=box.SIMPLE_HEAD)
    table.collapse_padding, table.pad_edge = True, False
    table.add_column("method", no_wrap=True)
    many = summary.by_defect or len({line.category for line in summary.lines}) > 1
    if many:
        table.add_column(summary.part, no_wrap=True)
    for name in summary.metrics:
        # An interval has a line of its own, and where the terminal is narrow a cell wraps before its spread;
        # nothing is cut off.
        table.add_column(name.replace("_", "\n").replace("cflow200", "cflow\n200"), justify="right", overflow="fold")
    previous = summary.lines[0].category if summary.lines else ""
    for line in summary.lines:
        if line.category != previous:
            table.add_section()
            previous = line.category
        cells = [Text(text.replace(" [", "\n["), _STYLES.get(rank, "")) for text, rank in ranked(summary, line)]
        name, style = (f"  {line.label}", "dim") if line.beside else (line.label, "")
        table.add_row(Text(legible(name)), *([Text(legible(line.category))] if many else []), *cells, style=style)
    return table
