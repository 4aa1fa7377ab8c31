"""Tables of pandas, which is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stackclip.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["frame_of"]


def frame_of(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> DataFrame:
    """A table with a line for each record. Raises UsageError where pandas is not installed."""
    try:
        from pandas import DataFrame
    except ImportError:
        raise UsageError(
            'a frame needs pandas, which is not installed: pip install "stackclip[frames]", or take .records()'
        ) from None
    return DataFrame(list(records), columns=list(columns))
