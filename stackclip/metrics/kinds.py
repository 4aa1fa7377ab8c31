"""Pixel metrics by kind of defect: of the pictures of one kind and all good ones, from one pass over the maps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stackclip.metrics.choose import Form, PixelAccumulator, pixel_metrics
from stackclip.metrics.exact import PixelMetrics
from stackclip.metrics.names import Measured
from stackclip.ops.regions import Runs
from stackclip.types import GOOD

__all__ = ["PixelMetricsByKind"]


class PixelMetricsByKind:
    """The pixel metrics of each kind of defect of one category, from pictures that come one by one.

    The exact form keeps the scores of a good picture once, whatever the number of kinds; the streamed one has bins for
    each kind.
    """

    def __init__(self, form: Form, kinds: Iterable[str]) -> None:
        self._of: dict[str, PixelAccumulator] = {kind: pixel_metrics(form) for kind in kinds}

    def add(self, kind: str, scores: Any, runs: Runs) -> None:
        """Take a map (H, W) and the labelled regions of its mask (R, 3); a good picture counts for every kind."""
        of_kind = self._of.values() if kind == GOOD else [self._of[kind]]
        once = PixelMetrics()
        if any(isinstance(each, PixelMetrics) for each in of_kind):
            once.add(scores, runs)
        for each in of_kind:
            if isinstance(each, PixelMetrics):
                each.merge(once)
            else:
                each.add(scores, runs)

    def merge(self, other: PixelMetricsByKind) -> None:
        """Take all pictures of another of the same kinds and form, which stays as it is."""
        for kind, each in self._of.items():
            each.merge(other._of[kind])

    def compute(self) -> dict[str, Measured]:
        """The metrics of each kind; what was kept of it is let go, so that little more than one is held at a time."""
        return {kind: self._of.pop(kind).compute() for kind in tuple(self._of)}
