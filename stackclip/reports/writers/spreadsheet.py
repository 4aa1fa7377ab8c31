"""A document as CSV: the sheets, a line for each cell of the bench, and for each kind of defect where that is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.rows import row_to_json
from stackclip.benchmarks.sets import identity
from stackclip.metrics import ON_REQUEST
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

    What only some data sets have (sPRO) follows the metrics of all, where a row has it. With intervals, these come
    last, and the differences from the first method. By kind of defect there is a column `defect`, empty in the lines of
    whole categories, and a line for each kind behind them.
    """

    def write(self, document: Document) -> str:
        """A line for each cell of the sheets, and for its kinds of defect."""
        ci, kinds = any(sheet.ci for sheet in document.sheets), document.per_defect
        held = {name for row in document.rows for name in (*row.metrics, *row.undefined)}
        metrics = (*METRICS, *(name for name in ON_REQUEST if name in held))
        ends = ["compared_to", *(f"{name}_{end}" for name in METRICS[:-1] for end in _ENDS)] if ci else []
        of_kind = ["defect"] if kinds else []
        head = [*_KEYS, *of_kind, *metrics, "undefined", "error", "seconds", *_FACTS, *_SETS, *ends]
        cells = (cell for sheet in document.sheets for cell in sheet.cells)
        return csv_text(
            head,
            (
                list(_line(each, kind, metrics, ci))
                for cell in cells
                for kind, each in (_with_kinds(cell) if kinds else [([], cell)])
            ),
        )


def _with_kinds(cell: SheetLine) -> Iterator[tuple[list[str], SheetLine]]:
    """A cell, of no kind, and what it is on each kind of defect."""
    yield [""], cell
    for kind, found in sorted(facts_of(cell.row).by_defect.items()):
        facts = {name: value for name, value in cell.row.facts.items() if name != "intervals"}
        yield [kind], SheetLine(replace(cell.row, metrics=found.metrics, undefined=found.undefined, facts=facts))


def _line(cell: SheetLine, kind: Sequence[str], metrics: Sequence[str], ci: bool) -> Iterator[object]:
    row, facts = cell.row, facts_of(cell.row)
    flat = row_to_json(row) | {"train_on": "+".join(row.train_on)}
    yield from (flat[key] for key in _KEYS)
    yield from kind
    yield from (row.metrics.get(name, "") for name in metrics)
    yield from (_reasons(row.undefined), row.error, row.seconds)
    yield from (getattr(facts, name) for name in _FACTS)
    yield from identity(row)
    if ci:
        yield from _ends(cell)


def _reasons(undefined: Mapping[str, str]) -> str:
    """Why metrics are undefined, each reason once behind the names of those that it holds of."""
    names: dict[str, list[str]] = {}
    for name, why in undefined.items():
        names.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(each)}: {why}" for why, each in names.items())


def _ends(cell: SheetLine) -> Iterator[object]:
    """The intervals of a row, and its differences from that of the first method, as columns of a spreadsheet."""
    yield cell.first.method if cell.first and cell.differences else ""
    intervals = facts_of(cell.row).intervals
    for name in METRICS[:-1]:
        yield from intervals.get(name, ("", ""))
        found = cell.differences[name].difference if name in cell.differences else None
        yield from (found.value, found.low, found.high, found.p) if found else [""] * 4
