"""A document as CSV: the sheets, a line for each cell of the bench, and for each kind of defect where that is asked."""

from __future__ import annotations

from stackclip.ops.spreadsheet import csv_text
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.flat import flat

__all__ = ["Csv"]


@writers.register("csv")
class Csv:
    """CSV, values as fractions at full precision, however the tables are asked for."""

    def write(self, document: Document) -> str:
        """A line for each cell of the sheets, and for its kinds of defect."""
        columns, lines = flat(document, str)
        return csv_text([column.name for column in columns], lines)
