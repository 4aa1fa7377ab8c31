"""Tables of pandas, which is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stackclip.errors import UsageError
from stackclip.reports.flat import flat

if TYPE_CHECKING:
    from pandas import DataFrame

    from stackclip.reports.document import Document

__all__ = ["frame_of", "frame_of_document"]


def frame_of(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> DataFrame:
    """A table with a line for each record. Raises UsageError where pandas is not installed."""
    try:
        from pandas import DataFrame
    except ImportError:
        raise UsageError(
            'a frame needs pandas, which is not installed: pip install "stackclip[frames]", or take .records()'
        ) from None
    return DataFrame(list(records), columns=list(columns))


def frame_of_document(document: Document) -> DataFrame:
    """The columns of CSV, typed as a Parquet file is read. Raises UsageError where pandas is not installed."""
    columns, lines = flat(document)
    types = {"text": "str", "whole": "int64", "number": "float64"}
    names = [each.name for each in columns]
    found = frame_of([dict(zip(names, line, strict=True)) for line in lines], names)
    return found.astype({each.name: types[each.kind] for each in columns})
