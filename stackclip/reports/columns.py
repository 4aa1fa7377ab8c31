"""Which metrics tables show: those of every row, and on request those that only some data sets have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stackclip.errors import UsageError
from stackclip.metrics import ALIASES, IMAGE_METRICS, ON_REQUEST, PIXEL_METRICS
from stackclip.registry import did_you_mean
from stackclip.types import Row

__all__ = ["METRICS", "columns_named", "firsts_of", "measured_of"]

METRICS = (*IMAGE_METRICS, *PIXEL_METRICS)
_KNOWN = (*METRICS, *ON_REQUEST)


def columns_named(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics as they are typed, by our names or another project's; raises UsageError for what is none."""
    found = tuple(dict.fromkeys(ALIASES.get(name, name) for name in names))
    for name in found:
        if name not in _KNOWN:
            raise UsageError(f"no metric {name!r}{did_you_mean(name, _KNOWN)}; there are {', '.join(_KNOWN)}")
    return found


def measured_of(rows: Iterable[Row], metrics: Sequence[str] = ()) -> tuple[str, ...]:
    """The metrics of a table of rows: those asked for, or all, as far as a row has them or says why not."""
    measured = {name for row in rows for name in (*row.metrics, *row.undefined)}
    return tuple(name for name in metrics or METRICS if name in measured or not measured)


def firsts_of(metrics: Iterable[str]) -> tuple[str, ...]:
    """The first metric of images and the first of pixels: what is said of no more than two is said of these."""
    known = tuple(metrics)
    firsts = (next((name for name in known if name.startswith(place)), None) for place in ("image", "pixel"))
    return tuple(name for name in firsts if name)
