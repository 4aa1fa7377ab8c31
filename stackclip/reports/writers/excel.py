"""A document as an Excel workbook: its tables, its single cells, and its notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from stackclip.errors import UsageError
from stackclip.ops.words import legible
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.flat import flat

__all__ = ["Excel"]

_TEXT_ALONE = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_MADE = datetime(2000, 1, 1, tzinfo=UTC)  # so that equal documents are equal files
_LONGEST, _MOST = 32767, 1 << 20  # letters of a cell, and lines of a sheet


@writers.register("xlsx")
class Excel:
    """An Excel workbook (the extra `frames`): the tables as they are asked for, the columns of CSV, the notes.

    Values are fractions; no text in it is a formula or a link.
    """

    def __init__(self) -> None:
        self._xlsxwriter = _xlsxwriter()

    def write(self, document: Document) -> bytes:
        """A sheet `tables`, a sheet `cells`, and a sheet `notes`."""
        file = io.BytesIO()
        book = self._xlsxwriter.Workbook(file, {"in_memory": True, **_TEXT_ALONE})
        book.set_properties({"created": _MADE})
        columns, lines = flat(document)
        _fill(book, "tables", _tables(document))
        _fill(book, "cells", [[column.name for column in columns], *lines])
        _fill(book, "notes", ([note] for note in document.notes))
        book.close()
        return file.getvalue()


def _tables(document: Document) -> Iterator[Sequence[str | float | None]]:
    """A line for each of each table, with the metrics that any of them has."""
    metrics = tuple(dict.fromkeys(name for table in document.tables for name in table.metrics))
    yield ["table", "method", "part", *metrics]
    for table in document.tables:
        for line in table.lines:
            values = {name: cell.value for name, cell in zip(table.metrics, line.cells, strict=True)}
            yield [table.title, line.label, line.part, *(values.get(name) for name in metrics)]


def _fill(book: Any, name: str, lines: Iterable[Sequence[str | float | None]]) -> None:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for row, line in enumerate(lines):
        if row == _MOST:
            raise UsageError(f"a sheet of Excel holds {_MOST} lines, and there are more {name}: take .parquet or .csv")
        for column, value in enumerate(line):
            if isinstance(value, str):
                text = legible(value)
                sheet.write_string(row, column, text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
            elif value is not None:
                sheet.write_number(row, column, value)


def _xlsxwriter() -> Any:
    """Raises UsageError where XlsxWriter is not installed."""
    try:
        import xlsxwriter
    except ImportError:
        raise UsageError('.xlsx needs XlsxWriter, which is not installed: pip install "stackclip[frames]"') from None
    return xlsxwriter
