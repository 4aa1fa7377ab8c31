"""A document as JSON lines: the sheets, an object for each cell of the bench."""

from __future__ import annotations

import json

from stackclip.benchmarks.rows import row_to_json
from stackclip.metrics.uncertainty import Difference
from stackclip.registry import writers
from stackclip.reports.document import Document, SheetLine

__all__ = ["JsonLines"]


@writers.register("jsonl")
class JsonLines:
    """JSON lines, each cell with all its facts but the draws, however the tables are asked for.

    Undefined metrics are null. With intervals, the differences from the first method are among the facts.
    """

    def write(self, document: Document) -> str:
        """A line for each cell of the sheets."""
        return "".join(f"{_line(cell)}\n" for sheet in document.sheets for cell in sheet.cells)


def _line(cell: SheetLine) -> str:
    row = cell.row
    facts = {name: value for name, value in row.facts.items() if name != "draws"}
    facts |= {"intervals": {name: list(ends) for name, ends in cell.intervals.items()}} if cell.intervals else {}
    if cell.first and cell.differences:
        told = {name: _told(comparison.difference) for name, comparison in cell.differences.items()}
        facts["paired"] = {cell.first.method: told}
    metrics = {**dict.fromkeys(row.undefined), **row.metrics}
    return json.dumps({**row_to_json(row), "metrics": metrics, "facts": facts}, sort_keys=True, allow_nan=False)


def _told(found: Difference) -> dict[str, float]:
    return {"difference": found.value, "low": found.low, "high": found.high, "p": found.p}
