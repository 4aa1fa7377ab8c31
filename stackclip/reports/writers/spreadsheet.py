"""A document as CSV: the sheets, a line for each cell of the bench."""

from __future__ import annotations

from collections.abc import Iterator

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.rows import row_to_json
from stackclip.benchmarks.sets import identity
from stackclip.ops.spreadsheet import csv_text
from stackclip.registry import writers
from stackclip.reports.document import Document, SheetLine
from stackclip.reports.table import METRICS

__all__ = ["Csv"]

_KEYS = ("method", "train_on", "test_on", "category", "shots", "seed")
_FACTS = ("tower", "class_names", "features", "stackclip")
_SETS = ("tested", "tested_place", "trained", "trained_places")
_ENDS = ("low", "high", "difference", "difference_low", "difference_high", "p")


@writers.register("csv")
class Csv:
    """CSV, values as fractions at full precision, however the tables are asked for.

    With intervals, these come last, and the differences from the first method.
    """

    def write(self, document: Document) -> str:
        """A line for each cell of the sheets."""
        ci = any(sheet.ci for sheet in document.sheets)
        ends = ["compared_to", *(f"{name}_{end}" for name in METRICS[:-1] for end in _ENDS)] if ci else []
        head = [*_KEYS, *METRICS, "undefined", "error", "seconds", *_FACTS, *_SETS, *ends]
        return csv_text(head, (list(_line(cell, ci)) for sheet in document.sheets for cell in sheet.cells))


def _line(cell: SheetLine, ci: bool) -> Iterator[object]:
    row, facts = cell.row, facts_of(cell.row)
    flat = row_to_json(row) | {"train_on": "+".join(row.train_on)}
    yield from (flat[key] for key in _KEYS)
    yield from (row.metrics.get(name, "") for name in METRICS)
    yield from ("; ".join(f"{name}: {why}" for name, why in row.undefined.items()), row.error, row.seconds)
    yield from (getattr(facts, name) for name in _FACTS)
    yield from identity(row)
    if ci:
        yield from _ends(cell)


def _ends(cell: SheetLine) -> Iterator[object]:
    """The intervals of a row, and its differences from that of the first method, as columns of a spreadsheet."""
    yield cell.first.method if cell.first and cell.differences else ""
    intervals = facts_of(cell.row).intervals
    for name in METRICS[:-1]:
        yield from intervals.get(name, ("", ""))
        found = cell.differences[name].difference if name in cell.differences else None
        yield from (found.value, found.low, found.high, found.p) if found else [""] * 4
