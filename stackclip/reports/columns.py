"""Which metrics tables show: those of every row, and on request those that only some data sets have."""

from __future__ import annotations

from collections.abc import Iterable

from stackclip.errors import UsageError
from stackclip.metrics import ALIASES, IMAGE_METRICS, ON_REQUEST, PIXEL_METRICS
from stackclip.registry import did_you_mean

__all__ = ["METRICS", "columns_named"]

METRICS = (*IMAGE_METRICS, *PIXEL_METRICS)
_KNOWN = (*METRICS, *ON_REQUEST)


def columns_named(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics as they are typed, by our names or another project's; raises UsageError for what is none."""
    found = tuple(dict.fromkeys(ALIASES.get(name, name) for name in names))
    for name in found:
        if name not in _KNOWN:
            raise UsageError(f"no metric {name!r}{did_you_mean(name, _KNOWN)}; there are {', '.join(_KNOWN)}")
    return found
