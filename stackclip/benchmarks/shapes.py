"""What the fields of rows and of the facts of heads must be, so that nobody works with what is none of that."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from stackclip.errors import UsageError
from stackclip.registry import Spec

__all__ = ["check_facts", "check_learned", "check_row", "check_seen"]

Check = Callable[[Any], bool]


def check_row(fields: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, unless these are the fields of a Row as JSON holds them."""
    _check(fields, _ROW, needed=("method", "train_on", "test_on", "category", "shots", "seed"))
    check_facts(fields.get("facts", {}))
    if unknown := fields.keys() - _ROW.keys():
        raise ValueError(f"rows have no {sorted(unknown)[0]!r}")


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the fact, for one that a table, a note or a curve could not work with."""
    _check(facts, _FACTS)
    for name, with_it in (("scores", "stacks"), ("eval_every", "curve")):
        if facts.get(name) and with_it not in facts:
            raise ValueError(f"it has {name!r} and no {with_it!r}")


def check_seen(seen: Any) -> dict[str, dict[str, str]]:
    """Place -> category -> digest, of pairs of these; raises ValueError for anything else."""
    if not _list_of(_is_place)(seen):
        raise ValueError("it does not say what was tested where")
    return dict(seen)


def check_learned(facts: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, unless these are facts that a bench kept with a trained head."""
    _check(facts, _LEARNED, needed=("losses", "seconds"))


def _check(found: Mapping[str, Any], wanted: Mapping[str, Check], needed: tuple[str, ...] = ()) -> None:
    for name in needed:
        if name not in found:
            raise ValueError(f"it has no {name!r}")
    for name, fits in wanted.items():
        if name in found and not fits(found[name]):
            raise ValueError(f"its {name!r} is not what it must be")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_method(value: Any) -> bool:
    try:
        return _is_text(value) and bool(Spec.parse(value).name)
    except UsageError:
        return False


def _is_natural(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _is_time(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_fraction(value: Any) -> bool:
    """Whether it is a metric; sums of many floats may end a little beside 0 and 1."""
    return type(value) in (int, float) and -1e-9 <= value <= 1 + 1e-9


def _is_any(value: Any) -> bool:
    return True


def _list_of(each: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(each, value))


def _pair_of(each: Check) -> Check:
    return lambda value: _list_of(each)(value) and len(value) == 2


def _object_of(each: Check) -> Check:
    """An object of any names; every JSON object has text for names."""
    return lambda value: isinstance(value, dict) and all(map(each, value.values()))


def _object(fields: Mapping[str, Check], *, needed: tuple[str, ...] = ()) -> Check:
    """An object that has the `needed` fields, and those of `fields` that it has as they must be."""

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or any(name not in value for name in needed):
            return False
        return all(each(value[name]) for name, each in fields.items() if name in value)

    return fits


def _or_none(each: Check) -> Check:
    return lambda value: value is None or each(value)


def _is_packed(value: Any) -> bool:
    """Whether it is base64 of numbers of two bytes."""
    try:
        return isinstance(value, str) and len(b64decode(value, validate=True)) % 2 == 0
    except ValueError:
        return False


def _is_place(value: Any) -> bool:
    """Whether it is a pair of a place and the digests of categories."""
    return isinstance(value, list) and len(value) == 2 and _is_text(value[0]) and _object_of(_is_text)(value[1])


def _is_keyed_by_numbers(value: Any) -> bool:
    return _object_of(_is_number)(value) and all(name.isdecimal() for name in value)


_LAYERS = _list_of(_is_whole)
_METRICS = _object_of(_is_fraction)
_LOSSES = _list_of(_object_of(_is_number))
_STEPS = _object_of(_object_of(_is_number))
_POINT = _object(
    {"step": _is_natural, "epoch": _is_number, "metrics": _METRICS, "error": _is_text}, needed=("step", "metrics")
)
_CURVE = _list_of(_POINT)
_SCHEDULE = _object(
    {
        "epochs": _is_natural,
        "lr": _is_number,
        "batch": _is_number,
        "steps": lambda value: _is_natural(value) or _list_of(_is_natural)(value),
    },
    needed=("epochs",),
)
_MASKS = ("masks", "black", "lost")
_EVERY: Check = _or_none(lambda value: value == "epoch" or (_is_natural(value) and value > 0))

_ROW: Mapping[str, Check] = {
    "method": _is_method,
    "train_on": _list_of(_is_text),
    "test_on": _is_text,
    "category": _is_text,
    "shots": _is_natural,
    "seed": _is_natural,
    "metrics": _METRICS,
    "undefined": _object_of(_is_text),
    "seconds": _is_time,
    "error": _is_text,
    "facts": _object_of(_is_any),
}

# Of the facts, those that tables, notes and curves work with.
_FACTS: Mapping[str, Check] = {
    "asked_class_names": _or_none(_is_text),
    "asked_epochs": _or_none(_is_natural),
    "batch_size": _is_natural,
    "curve": _CURVE,
    "draws": _object(
        {"count": _is_natural, "pictures": _is_text, "values": _object_of(_is_packed)},
        needed=("count", "pictures", "values"),
    ),
    "empty_masks": _object(dict.fromkeys(_MASKS, _is_natural), needed=_MASKS),
    "epochs": _is_natural,
    "eval_every": _EVERY,
    "feature_dtype": _is_text,
    "features": _is_text,
    "image_size": _is_natural,
    "intervals": _object_of(_pair_of(_is_fraction)),
    "layers": _LAYERS,
    "learned": _or_none(_object_of(_is_any)),
    "losses": _LOSSES,
    "note": _is_text,
    "overlap": _object_of(_is_natural),
    "pixel_metrics": _object({"form": _is_text, "bounds": _object_of(_is_number)}),
    "protocol": _is_text,
    "recorded": _object_of(_is_any),
    "schedule": _object_of(_SCHEDULE),
    "scores": _or_none(_is_keyed_by_numbers),
    "stackclip": _is_text,
    "stacks": _list_of(_list_of(_is_text)),
    "steps": _STEPS,
    "reported": _object({"earlier": _is_natural, "trained_earlier": _is_natural}),
    "tested": _object({"content": _is_text, "place": _is_text}, needed=("content", "place")),
    "tested_family": _is_text,
    "tested_left_out": _list_of(_is_text),
    "tested_pictures": _is_natural,
    "tested_without_mask": _list_of(_is_text),
    "tower": _is_text,
    "trained": _object({"content": _is_text, "places": _list_of(_is_text)}, needed=("content", "places")),
    "trained_families": _list_of(_is_text),
    "trained_layouts": _list_of(_is_text),
    "why_left_out": _object_of(_object_of(_is_text)),
    "why_without_mask": _object_of(_object_of(_is_text)),
}

_LEARNED: Mapping[str, Check] = {
    "losses": _LOSSES,
    "steps": _STEPS,
    "seconds": _is_time,
    "eval_every": _EVERY,
    "curves": _object_of(_CURVE),
}
