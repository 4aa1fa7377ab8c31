"""Which form of the pixel metrics a category gets."""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args

from stackclip.metrics.exact import PixelMetrics
from stackclip.metrics.names import Measured
from stackclip.metrics.pictures import Ends
from stackclip.metrics.streamed import StreamedPixelMetrics
from stackclip.ops.regions import Runs

__all__ = ["EXACT_UP_TO", "FORMS", "Form", "PixelAccumulator", "choose_form", "pixel_metrics"]

Form = Literal["exact", "streamed"]
FORMS = ("auto", *get_args(Form))
EXACT_UP_TO = 2**27  # pixels of a category: 500 maps of 518 x 518, .5 GB a method and as much again for one at a time


class PixelAccumulator(Protocol):
    """Takes the maps of one category one by one, and measures them; `names` are those of its metrics."""

    names: tuple[str, ...]

    def add(self, scores: Any, runs: Runs, ends: Ends | None = None) -> None:
        """Take a map (H, W) and the labelled regions of its mask (R, 3)."""

    def merge(self, other: Any) -> None:
        """Take all maps of another of the same form, which stays as it is: parts of a category may be spread."""

    def compute(self) -> Measured:
        """The metrics of all maps so far."""


def choose_form(asked: str, pixels: int) -> Form:
    """The form for a category of so many pixels: the one that was asked for, or for `auto` the exact one if it fits."""
    exact = asked == "exact" or (asked == "auto" and pixels <= EXACT_UP_TO)
    return "exact" if exact else "streamed"


def pixel_metrics(form: Form, limits: tuple[float, ...] = ()) -> PixelAccumulator:
    """An empty accumulator of a form, for AUPRO up to these false-positive rates beside that up to 0.3."""
    return PixelMetrics(limits) if form == "exact" else StreamedPixelMetrics(limits=limits)
