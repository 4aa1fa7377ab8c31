"""A document as a Parquet file: the sheets, a line for each cell of the bench, with typed columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stackclip.errors import UsageError
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.flat import flat

__all__ = ["Parquet"]


@writers.register("parquet")
class Parquet:
    """Parquet (the extra `frames`), with the columns of CSV, typed: what is undefined is null."""

    def __init__(self) -> None:
        self._arrow = _pyarrow()

    def write(self, document: Document) -> bytes:
        """A line for each cell of the sheets, and for its kinds of defect."""
        import pyarrow.parquet

        arrow, (columns, lines) = self._arrow, flat(document)
        types = {"text": arrow.string(), "whole": arrow.int64(), "number": arrow.float64()}
        schema = arrow.schema([(column.name, types[column.kind]) for column in columns])
        values = [arrow.array(_plain(lines, place, each.kind), types[each.kind]) for place, each in enumerate(columns)]
        sink = arrow.BufferOutputStream()
        pyarrow.parquet.write_table(arrow.Table.from_arrays(values, schema=schema), sink)
        return bytes(sink.getvalue())


def _plain(lines: Sequence[Sequence[Any]], place: int, kind: str) -> list[Any]:
    """The values of a column; a number that JSON holds as a whole one is a float all the same."""
    values = [line[place] for line in lines]
    return [None if value is None else float(value) for value in values] if kind == "number" else values


def _pyarrow() -> Any:
    """Raises UsageError where pyarrow is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise UsageError('.parquet needs pyarrow, which is not installed: pip install "stackclip[frames]"') from None
    return pyarrow
