"""A document on a terminal: titles, tables with the best bold and the second underlined, and the notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from stackclip.metrics import IMAGE_METRICS
from stackclip.ops.words import legible
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.table import Summary, TableLine, ranked

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text

__all__ = ["Block", "Terminal", "blocks", "rich_tables"]

_STYLES = {1: "bold", 2: "underline"}
_DITTO = '"'
_AUPROS = ("pixel_AUPRO", "pixel_AUPRO_cflow200")


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

    for summary, table in zip(document.tables, rich_tables(document.tables, document.one_score), strict=True):
        yield Block(Text(legible(summary.title), "bold"), soft_wrap=True)
        yield Block(table)
        for line in summary.compared:
            yield Block(Text(legible(line)))
    for note in (*document.notes, *_remarks(document)):
        yield Block(Text(legible(f"- {note}"), "dim"))


def _remarks(document: Document) -> Iterator[str]:
    """What a reader of the columns may wonder about: equal ones, and two of one name."""
    shown = {name for table in document.tables for name in table.metrics}
    for group in document.one_score if shown & {*IMAGE_METRICS} else ():
        pairs = (pair for table in document.tables for pair in pairwise(table.lines))
        once = any(_said_above(line, above, [group]) for above, line in pairs)
        same = f"{', '.join(group)}: one image score, so their image columns are the same"
        yield f"{same}; {_DITTO} is as above" if once else same
    if {*_AUPROS} <= shown:
        yield f"{_AUPROS[0]} is exact; {_AUPROS[1]} repeats the script with 200 thresholds that most papers print"


def rich_tables(summaries: Iterable[Summary], one_score: Sequence[Sequence[str]] = ()) -> list[RichTable]:
    """Tables for a terminal: best bold, second underlined; of methods with `one_score` the image columns once."""
    return [_rich_table(summary, one_score) for summary in summaries]


def _said_above(line: TableLine, above: TableLine | None, one_score: Sequence[Sequence[str]]) -> bool:
    """Whether the image columns of a line are those of the line above."""
    if above is None or line.category != above.category or line.beside or above.beside:
        return False
    return any(line.method in group and above.method in group for group in one_score)


def _rich_table(summary: Summary, one_score: Sequence[Sequence[str]]) -> RichTable:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="dim", box=box.SIMPLE_HEAD)
    table.collapse_padding, table.pad_edge = True, False
    table.add_column(summary.corner, no_wrap=True)
    many = summary.by_defect or len({line.category for line in summary.lines}) > 1
    if many:
        table.add_column(summary.part, no_wrap=True)
    for name in summary.metrics:
        # An interval has a line of its own, and where the terminal is narrow a cell wraps before its spread;
        # nothing is cut off.
        table.add_column(name.replace("_", "\n").replace("cflow200", "cflow\n200"), justify="right", overflow="fold")
    for above, line in zip((None, *summary.lines), summary.lines, strict=False):
        if above and line.category != above.category:
            table.add_section()
        cells = [Text(text.replace(" [", "\n["), _STYLES.get(rank, "")) for text, rank in ranked(summary, line)]
        if _said_above(line, above, one_score):
            once = zip(summary.metrics, cells, strict=True)
            cells = [Text(_DITTO) if name in IMAGE_METRICS else cell for name, cell in once]
        name, style = (f"  {line.label}", "dim") if line.beside else (line.label, "")
        table.add_row(Text(legible(name)), *([Text(legible(line.part))] if many else []), *cells, style=style)
    return table
