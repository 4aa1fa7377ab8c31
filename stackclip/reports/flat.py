"""The sheets of a document as one flat table of plain values, which files of every form hold alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import identity
from stackclip.metrics import ON_REQUEST
from stackclip.ops.words import legible
from stackclip.reports.table import METRICS

if TYPE_CHECKING:
    from stackclip.reports.document import Document, SheetLine

__all__ = ["FlatColumn", "flat"]

_KEYS = ("method", "train_on", "test_on", "category", "shots")
_FACTS = ("tower", "class_names", "features", "stackclip")
_SETS = ("tested", "tested_place", "trained", "trained_places")
_ENDS = ("low", "high", "difference", "difference_low", "difference_high", "p")


@dataclass(frozen=True, slots=True)
class FlatColumn:
    """A column: text, whole numbers, or numbers of which some lack."""

    name: str
    kind: Literal["text", "whole", "number"] = "text"


Flat = tuple[tuple[FlatColumn, ...], list[tuple[str | int | float | None, ...]]]
"""Columns, and lines of values."""


def flat(document: Document, text: Callable[[object], str] = legible) -> Flat:
    """The columns, and a line for each cell of the bench: fractions at full precision, None for what is undefined.

    What only some data sets have (sPRO) follows the metrics of all, where a row has it. With intervals, these come
    last, and the differences from the first method. By kind of defect there is a column `defect`, empty in the lines of
    whole categories, and a line for each kind behind them. Where some rows are in other words, the last column has the
    draw. Shots are text, as they may be `all`. All text goes through `text`.
    """
    ci, kinds = any(sheet.ci for sheet in document.sheets), document.per_defect
    held = {name for row in document.rows for name in (*row.metrics, *row.undefined)}
    metrics = (*METRICS, *(name for name in ON_REQUEST if name in held))
    of_text = [*_KEYS, *(["defect"] if kinds else []), "undefined", "error", *_FACTS, *_SETS, "compared_to"]
    names = [*_KEYS, "seed", *(["defect"] if kinds else []), *metrics, "undefined", "error", "seconds", *_FACTS, *_SETS]
    names += ["compared_to", *(f"{name}_{end}" for name in METRICS[:-1] for end in _ENDS)] if ci else []
    worded = any(facts_of(row).words for row in document.rows)
    names += ["words"] if worded else []
    whole = ("seed", "words")
    columns = [
        FlatColumn(name, "whole" if name in whole else "text" if name in of_text else "number") for name in names
    ]
    cells = (cell for sheet in document.sheets for cell in sheet.cells)
    lines = (
        (
            *(text(value) if isinstance(value, str) else value for value in _line(each, kind, metrics, ci)),
            *([facts_of(each.row).words] if worded else []),
        )
        for cell in cells
        for kind, each in (_with_kinds(cell) if kinds else [([], cell)])
    )
    return tuple(columns), list(lines)


def _with_kinds(cell: SheetLine) -> Iterator[tuple[list[str], SheetLine]]:
    """A cell, of no kind, and what it is on each kind of defect."""
    yield [""], cell
    for kind, found in sorted(facts_of(cell.row).by_defect.items()):
        facts = {name: value for name, value in cell.row.facts.items() if name not in ("intervals", "draws")}
        row = replace(cell.row, metrics=found.metrics, undefined=found.undefined, facts=facts)
        yield [kind], replace(cell, row=row, first=None)


def _line(cell: SheetLine, kind: Sequence[str], metrics: Sequence[str], ci: bool) -> Iterator[str | int | float | None]:
    row, facts = cell.row, facts_of(cell.row)
    keys = (row.method, "+".join(row.train_on), row.test_on, row.category, row.shots)
    yield from map(str, keys)
    yield row.seed
    yield from kind
    yield from (row.metrics.get(name) for name in metrics)
    yield from (_reasons(row.undefined), row.error, row.seconds)
    yield from (str(getattr(facts, name)) for name in _FACTS)
    yield from identity(row)
    if ci:
        yield from _ends(cell)


def _reasons(undefined: Mapping[str, str]) -> str:
    """Why metrics are undefined, each reason once behind the names of those that it holds of."""
    names: dict[str, list[str]] = {}
    for name, why in undefined.items():
        names.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(each)}: {why}" for why, each in names.items())


def _ends(cell: SheetLine) -> Iterator[str | float | None]:
    """The intervals of a row, and its differences from that of the first method."""
    yield cell.first.method if cell.first and cell.differences else ""
    for name in METRICS[:-1]:
        yield from cell.intervals.get(name, (None, None))
        found = cell.differences[name].difference if name in cell.differences else None
        yield from (found.value, found.low, found.high, found.p) if found else [None] * 4
