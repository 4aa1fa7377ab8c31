"""Tables by kind of defect: what a method is worth on the pictures of one kind and all good ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stackclip.benchmarks.breakdown import BY_DEFECT
from stackclip.benchmarks.facts import facts_of
from stackclip.reports.table import Summary, TableLine, figure_of
from stackclip.types import Row

__all__ = ["kinds_table"]


def kinds_table(table: Summary, rows: Sequence[Row], *, per_category: bool = False) -> Summary | None:
    """The lines of a table's rows by kind of defect, kind by kind; None where none of them tells kinds apart.

    A figure is the mean over the categories that have the kind, within a seed, then over the seeds; with `per_category`
    kinds of one name in several categories have lines of their own.
    """
    of_kind: dict[str, list[Row]] = {}
    for row in rows:
        for kind, found in facts_of(row).by_defect.items():
            name = f"{row.category}: {kind}" if per_category else kind
            of_kind.setdefault(name, []).append(replace(row, metrics=found.metrics, undefined=found.undefined))
    lines = []
    for kind in sorted(of_kind):
        of = len({(row.category, row.seed) for row in of_kind[kind]})
        for method in dict.fromkeys(row.method for row in of_kind[kind]):
            own = [row for row in of_kind[kind] if row.method == method]
            cells = tuple(figure_of(own, name, table.seeds, of) for name in BY_DEFECT)
            lines.append(TableLine(method, kind, cells))
    return replace(table, metrics=BY_DEFECT, lines=tuple(lines), compared=(), by_defect=True) if lines else None
