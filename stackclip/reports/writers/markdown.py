"""A document as Markdown: the tables, and the notes as a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stackclip.ops.words import legible
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.table import Summary, ranked

__all__ = ["Markdown", "marked", "pipes"]

_RANKS = ("{}", "**{}**", "<u>{}</u>", "{}")

# An underscore within a word, and brackets that no link follows, mean nothing: names of metrics and methods stay.
_MARKS = re.compile(r"[\\`*|~$]|<(?=[\w/!?])|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|\][(\[:]|://|www\.")


@writers.register("md")
class Markdown:
    """Markdown, with the best bold and the second underlined."""

    def write(self, document: Document) -> str:
        """The tables and the notes below them."""
        out = [line for table in document.tables for line in _table(table, document.per_category or table.by_defect)]
        return "\n".join([*out, *(f"- {marked(note)}" for note in document.notes)]) + "\n"


def _table(table: Summary, by_part: bool) -> Iterator[str]:
    head = [table.corner, *([table.part] if by_part else []), *table.metrics]
    yield from (f"**{marked(table.title)}**", "", pipes(head), pipes(["---"] * len(head)))
    for line in table.lines:
        cells = [_RANKS[min(rank, 3)].format(marked(text)) for text, rank in ranked(table, line)]
        name = ("&nbsp;&nbsp;" if line.beside else "") + marked(line.label)  # spaces would vanish
        yield pipes([name, *([marked(line.part)] if by_part else []), *cells])
    yield from ("", *(f"- {marked(line)}" for line in table.compared), *([""] if table.compared else []))


def pipes(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"


def marked(text: str) -> str:
    """Text as Markdown shows it: what would be a cell's end, HTML, code, emphasis, a formula or a link is none."""
    return _MARKS.sub(lambda mark: f"{mark[0][:-1]}\\{mark[0][-1]}", legible(text))
