"""What a row says of the grid whose point it is: which one was taken, by what, and what the others were worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from stackclip.benchmarks.checks import is_fraction, is_natural, is_number, is_text, list_of, object_with, or_none
from stackclip.registry import Spec

__all__ = ["ScoredPoint", "Selected", "is_selected", "selected_of"]


@dataclass(frozen=True, slots=True)
class ScoredPoint:
    """A point of a grid, after so many epochs where these are compared: its mean over folds and the standard error.

    One that could not be compared has no mean, and the reason.
    """

    spec: str
    epoch: int | None = None
    mean: float | None = None
    error: float | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Selected:
    """Which point of a grid was taken with a seed, after which epoch, and by what: no tested picture was looked at.

    `scheme` says what was held out by turns, in so many `folds`; `left_out` cells of these have the metric for no
    point. A training is stopped after `stop_after` epochs where that is not its end.
    """

    spec: str
    scheme: str
    metric: str
    rule: str
    seed: int
    folds: int
    points: tuple[ScoredPoint, ...]
    epoch: int | None = None
    stop_after: int | None = None
    left_out: int = 0

    @property
    def point(self) -> ScoredPoint:
        """The point that was taken."""
        return next(each for each in self.points if (each.spec, each.epoch) == (self.spec, self.epoch))

    @property
    def over_shots(self) -> bool:
        """Whether the points differ in how many normal pictures they are shown."""
        return len({dict(Spec.parse(each.spec).options).get("shots") for each in self.points}) > 1


_SCORED = object_with(
    {
        "spec": is_text,
        "epoch": or_none(is_natural),
        "mean": or_none(is_fraction),
        "error": or_none(is_number),
        "why_not": is_text,
    },
    needed=("spec",),
)
_TEXTS_OF_SELECTED = dict.fromkeys(("spec", "scheme", "metric", "rule"), is_text)
_NUMBERS_OF_SELECTED = {"seed": is_natural, "folds": is_natural}
_FIELDS = object_with(
    {
        **_TEXTS_OF_SELECTED,
        **_NUMBERS_OF_SELECTED,
        "points": list_of(_SCORED),
        "epoch": or_none(is_natural),
        "stop_after": or_none(is_natural),
        "left_out": is_natural,
    },
    needed=(*_TEXTS_OF_SELECTED, *_NUMBERS_OF_SELECTED, "points"),
)


def is_selected(found: Any) -> bool:
    """Whether JSON says which point of a grid was taken, and that is one of those that were compared."""
    return _FIELDS(found) and any(_is_taken(found, each) for each in found["points"])


def _is_taken(found: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    return all(found.get(name) == point.get(name) for name in ("spec", "epoch")) and point.get("mean") is not None


def selected_of(found: Mapping[str, Any]) -> Selected:
    """What JSON says of a choice."""
    points = tuple(ScoredPoint(**{name: each[name] for name in _POINT if name in each}) for each in found["points"])
    return Selected(**{name: found[name] for name in _CHOICE if name in found} | {"points": points})


_POINT, _CHOICE = ([each.name for each in fields(kind)] for kind in (ScoredPoint, Selected))
