"""Tables as pieces of HTML for notebooks; nothing in a name is markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from stackclip.ops.words import legible
from stackclip.reports.table import Summary, ranked

if TYPE_CHECKING:
    from stackclip.reports.document import Document

__all__ = ["document_html", "table_html"]

_RANKS = (Markup("{}"), Markup("<b>{}</b>"), Markup("<u>{}</u>"), Markup("{}"))


def document_html(document: Document) -> str:
    """The tables of a document with the best bold and the second underlined, and its notes."""
    tables = [_summary_html(table, document.per_category or table.by_defect) for table in document.tables]
    notes = Markup("").join(Markup("<li>{}</li>").format(legible(note)) for note in document.notes)
    return Markup("").join([*tables, Markup("<ul>{}</ul>").format(notes)] if notes else tables)


def table_html(title: str, head: Sequence[str], lines: Iterable[Sequence[str | Markup]]) -> Markup:
    """A table; the first cell of a line is its head."""
    heads = Markup("").join(Markup("<th>{}</th>").format(_shown(name)) for name in head)
    body = Markup("").join(
        Markup("<tr><th>{}</th>{}</tr>").format(
            _shown(line[0]), Markup("").join(Markup("<td>{}</td>").format(_shown(cell)) for cell in line[1:])
        )
        for line in lines
    )
    parts = "<table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>"
    return Markup(parts).format(_shown(title), heads, body)


def _summary_html(table: Summary, by_part: bool) -> Markup:
    head = ["method", *([table.part] if by_part else []), *(name.replace("_", " ") for name in table.metrics)]
    return table_html(table.title, head, _lines(table, by_part))


def _lines(table: Summary, by_part: bool) -> Iterator[list[str | Markup]]:
    for line in table.lines:
        cells = [_RANKS[min(rank, 3)].format(legible(text)) for text, rank in ranked(table, line)]
        yield [line.label, *([line.part] if by_part else []), *cells]


def _shown(text: str | Markup) -> Markup:
    return text if isinstance(text, Markup) else escape(legible(text))
