"""What rows say beside their numbers, by name and type: the one place that knows the names.

A row keeps its facts as JSON does. `facts_of(row)` reads them, with the defaults below for what older rows lack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Generic, TypeVar, overload

from stackclip.benchmarks.checks import (
    Check,
    is_any,
    is_fraction,
    is_keyed_by_numbers,
    is_natural,
    is_number,
    is_packed,
    is_size,
    is_text,
    is_time,
    is_whole,
    list_of,
    object_of,
    object_with,
    or_none,
    pair_of,
)
from stackclip.benchmarks.selected import Selected, is_selected, selected_of
from stackclip.types import Row

__all__ = [
    *("CurvePoint", "Draws", "EmptyMasks", "Facts", "KindOfDefect", "Pictures", "PixelForm", "Reported", "TrainedOn"),
    *("facts_of", "found_at", "reported_as"),
]

Value = TypeVar("Value")
Made = TypeVar("Made")
_NONE: Mapping[str, Any] = MappingProxyType({})


class _Fact(Generic[Value]):
    """One fact: what JSON must hold for it, what it is where a row says nothing, and what is made of it."""

    def __init__(self, fits: Check, default: Value, made: Callable[[Any], Value] | None = None) -> None:
        self.fits, self._default, self._made = fits, default, made

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, facts: None, owner: type) -> _Fact[Value]: ...

    @overload
    def __get__(self, facts: Facts, owner: type) -> Value: ...

    def __get__(self, facts: Facts | None, owner: type) -> _Fact[Value] | Value:
        if facts is None:
            return self
        found = facts.kept.get(self.name)
        if found is None:
            return self._default
        value: Value = self._made(found) if self._made else found
        return value


def _object(kind: type[Made]) -> Callable[[Mapping[str, Any]], Made]:
    """Make a dataclass of the fields that it knows."""
    return lambda found: kind(**{each.name: found[each.name] for each in fields(kind) if each.name in found})  # type: ignore[arg-type]  # all are dataclasses


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a method was worth after `step` optimiser steps."""

    step: int
    metrics: Mapping[str, float]
    epoch: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Draws:
    """The metrics in draws of the tested pictures: by name, base64 of one number a draw; `pictures` is their hash."""

    count: int = 0
    pictures: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmptyMasks:
    """How many masks of a cell there are, and how many have no anomalous pixel: black ones, others through scaling."""

    masks: int
    black: int
    lost: int


@dataclass(frozen=True, slots=True)
class KindOfDefect:
    """What a method is worth on the pictures of one kind of defect and all good ones."""

    pictures: int
    metrics: Mapping[str, float]
    undefined: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    bounds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PixelForm:
    """How pixel metrics were measured, with the bounds of their errors; why binned ones were refused, if they were."""

    form: str = ""
    bounds: Mapping[str, float] = field(default_factory=dict)
    refused_streamed_bound: float | str | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """How often the pictures of the same place were others since then: the tested ones, and those of the training."""

    earlier: int = 0
    trained_earlier: int = 0


@dataclass(frozen=True, slots=True)
class Pictures:
    """The digest of the tested pictures of a category, and where their data set lay."""

    content: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The digest of everything that was trained on, where it lay, and that of the names it was drawn from."""

    content: str = ""
    places: Sequence[str] = ()
    drawn_from: str = ""


_CURVE = list_of(
    object_with(
        {"step": is_natural, "epoch": is_number, "metrics": object_of(is_fraction), "error": is_text},
        needed=("step", "metrics"),
    )
)
_SCHEDULE = object_with(
    {
        "epochs": is_natural,
        "lr": is_number,
        "batch": is_number,
        "steps": lambda value: is_natural(value) or list_of(is_natural)(value),
    },
    needed=("epochs",),
)
_KIND = object_with(
    {
        "pictures": is_natural,
        "metrics": object_of(is_fraction),
        "undefined": object_of(is_text),
        "form": is_text,
        "bounds": object_of(is_number),
    },
    needed=("pictures", "metrics"),
)
_FORM = {"form": is_text, "bounds": object_of(is_number)}
_MASKS = ("masks", "black", "lost")
_DRAWS = {"count": is_natural, "pictures": is_text, "values": object_of(is_packed)}
_REASONS = object_of(object_of(is_text))


def _kinds(found: Mapping[str, Mapping[str, Any]]) -> dict[str, KindOfDefect]:
    return {name: _object(KindOfDefect)(kind) for name, kind in found.items()}


def _points(found: Sequence[Mapping[str, Any]]) -> tuple[CurvePoint, ...]:
    return tuple(map(_object(CurvePoint), found))


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a row that tables, notes and curves work with; `kept` are all that it has."""

    kept: Mapping[str, Any]

    asked_class_names = _Fact[str | None](or_none(is_text), None)
    asked_epochs = _Fact[int | None](or_none(is_natural), None)
    batch_size = _Fact[int | None](or_none(is_natural), None)
    live_precision = _Fact[str](is_text, "fp32")
    fold = _Fact[str](is_text, "")
    stop_after = _Fact[int | None](or_none(is_natural), None)
    train_list = _Fact[str](is_text, "")
    train_shots = _Fact[int | None](or_none(is_natural), None)
    by_defect = _Fact[Mapping[str, KindOfDefect]](object_of(_KIND), MappingProxyType({}), _kinds)
    class_names = _Fact[object](is_any, "")
    components = _Fact[Mapping[str, Mapping[str, float]]](object_of(object_of(is_fraction)), _NONE)
    curve = _Fact[tuple[CurvePoint, ...]](_CURVE, (), _points)
    draws = _Fact[Draws](object_with(_DRAWS, needed=tuple(_DRAWS)), Draws(), _object(Draws))
    empty_masks = _Fact[EmptyMasks | None](
        object_with(dict.fromkeys(_MASKS, is_natural), needed=_MASKS), None, _object(EmptyMasks)
    )
    epochs = _Fact[int](is_natural, 0)
    eval_every = _Fact[int | str | None](
        or_none(lambda value: value == "epoch" or (is_natural(value) and value > 0)), None
    )
    feature_dtype = _Fact[str](is_text, "")
    features = _Fact[str](is_text, "")
    fingerprint = _Fact[Mapping[str, Any]](is_any, _NONE)
    image_size = _Fact[int | str | None](is_size, None)
    intervals = _Fact[Mapping[str, Sequence[float]]](object_of(pair_of(is_fraction)), _NONE)
    layers = _Fact[Sequence[int]](list_of(is_whole), ())
    learned = _Fact[Mapping[str, Any]](or_none(object_of(is_any)), _NONE)
    losses = _Fact[Sequence[Mapping[str, float]]](list_of(object_of(is_number)), ())
    map_side = _Fact[int | str | None](is_size, None)
    note = _Fact[str](is_text, "")
    overlap = _Fact[Mapping[str, int]](object_of(is_natural), _NONE)
    pixel_metrics = _Fact[PixelForm](object_with(_FORM), PixelForm(), _object(PixelForm))
    protocol = _Fact[str](is_text, "")
    recorded = _Fact[Mapping[str, Any]](object_of(is_any), _NONE)
    released_positions = _Fact[str | None](is_any, None)
    reported = _Fact[Reported](
        object_with({"earlier": is_natural, "trained_earlier": is_natural}), Reported(), _object(Reported)
    )
    schedule = _Fact[Mapping[str, Mapping[str, Any]]](object_of(_SCHEDULE), _NONE)
    saturation = _Fact[PixelForm](object_with(_FORM), PixelForm(), _object(PixelForm))
    scores = _Fact[Mapping[str, float]](or_none(is_keyed_by_numbers), _NONE)
    selected = _Fact[Selected | None](is_selected, None, selected_of)
    stackclip = _Fact[str](is_text, "")
    stacks = _Fact[Sequence[Sequence[str]]](list_of(list_of(is_text)), ())
    steps = _Fact[Mapping[str, Mapping[str, float]]](object_of(object_of(is_number)), _NONE)
    tested = _Fact[Pictures](
        object_with({"content": is_text, "place": is_text}, needed=("content", "place")), Pictures(), _object(Pictures)
    )
    tested_family = _Fact[str](is_text, "")
    tested_layout = _Fact[str](is_text, "")
    tested_left_out = _Fact[Sequence[str]](list_of(is_text), ())
    tested_pictures = _Fact[int](is_natural, 0)
    tested_without_mask = _Fact[Sequence[str]](list_of(is_text), ())
    tiles = _Fact[str](is_text, "")
    train_seconds = _Fact[float](is_time, 0.0)
    tower = _Fact[str](is_text, "")
    trained = _Fact[TrainedOn](
        object_with(
            {"content": is_text, "places": list_of(is_text), "drawn_from": is_text}, needed=("content", "places")
        ),
        TrainedOn(),
        _object(TrainedOn),
    )
    trained_pictures = _Fact[int](is_natural, 0)
    trained_families = _Fact[Sequence[str]](list_of(is_text), ())
    transductive = _Fact[str | None](or_none(is_text), None)
    trained_layouts = _Fact[Sequence[str]](list_of(is_text), ())
    words = _Fact[int](is_natural, 0)
    reads_words = _Fact[bool](lambda value: isinstance(value, bool), True)
    why_left_out = _Fact[Mapping[str, Mapping[str, str]]](_REASONS, _NONE)
    why_without_mask = _Fact[Mapping[str, Mapping[str, str]]](_REASONS, _NONE)

    @property
    def pretrained(self) -> object:
        """The tag of the tower's weights; None where they have none."""
        return self.recorded.get("pretrained")

    @property
    def position_embedding(self) -> str | None:
        """How the tower's position embeddings are resized to its pictures."""
        return self.fingerprint.get("position_embedding")

    @property
    def positions_resized(self) -> bool:
        """Whether they had to be."""
        return bool(self.recorded.get("positions_resized"))

    @classmethod
    def checks(cls) -> dict[str, Check]:
        """What JSON must hold for each fact."""
        return {each.name: each.fits for each in vars(cls).values() if isinstance(each, _Fact)}


def facts_of(row: Row) -> Facts:
    """What a row says beside its numbers."""
    return Facts(row.facts)


def reported_as(row: Row, found: Reported) -> Row:
    """The row with how often its pictures were others since; where they never were, it says nothing."""
    said = {name: count for name, count in asdict(found).items() if count}
    return replace(row, facts={**row.facts, **({"reported": said} if said else {})})


def found_at(row: Row, place: str) -> Row:
    """The row as one whose tested data set lay at another place."""
    return replace(row, facts={**row.facts, "tested": {"content": "", **row.facts.get("tested", {}), "place": place}})
