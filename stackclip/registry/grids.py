"""Grids in a name: `stacked[clusters=1|2,head=linear|efa[temperature=1|10]]` is one component for each choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import product
from math import prod

from stackclip.errors import UsageError
from stackclip.registry.spec import Spec, split_at, split_specs

__all__ = ["DEEPEST", "LARGEST", "NOT_GIVEN", "axes_of", "flat_options", "points_of", "spread_out"]

LARGEST = 4096
"""Points of the largest grid that is read at all."""
DEEPEST = 16
"""Brackets within brackets that are looked into."""
NOT_GIVEN = "default"
"""The value of an option that is not given, where others give it."""


def points_of(text: str) -> tuple[str, ...]:
    """The specs of a grid as they would be typed one by one, the last option's values next to each other.

    `|` stands between the values of an option, also within the brackets of one of them; what has none stays as it is.
    Raises UsageError for an empty value, more than LARGEST points, and text whose brackets do not fit.
    """
    text = text.strip()
    if "|" in text and len(split_at("|", text)) > 1:
        raise UsageError(f"cannot read {text!r}: | stands between values of an option; names are divided by commas")
    return _points(text, DEEPEST)


def _points(text: str, deep: int) -> tuple[str, ...]:
    name, bracket, inside = text.partition("[")
    if "|" not in inside or not bracket or not inside.endswith("]"):
        return (text,)
    if not deep:
        raise UsageError(f"cannot read a grid with brackets in more than {DEEPEST} others: {text[:40]}...")
    axes = [_choices(item, deep - 1) for item in split_specs(inside[:-1])]
    if (count := prod(map(len, axes))) > LARGEST:
        raise UsageError(f"{text} are {count} points; wanted {LARGEST} at most: leave values out")
    return tuple(f"{name.strip()}[{','.join(point)}]" for point in product(*axes))


def _choices(item: str, deep: int) -> tuple[str, ...]:
    """An option with each of its values: `clusters=1|2` has two."""
    if "|" not in item:
        return (item,)
    key, equals, value = item.partition("=")
    values = tuple(point for each in split_at("|", value) for point in _points(each, deep))
    if not equals or "" in values:
        raise UsageError(f"cannot read {item!r}: wanted option=value|value, with a value on each side of |")
    return tuple(f"{key}={each}" for each in values)


def spread_out(names: Iterable[str], most: int = LARGEST) -> tuple[str, ...]:
    """All points of names, each once. Raises UsageError for a grid of more than `most` points."""
    found: dict[str, None] = {}
    for name in names:
        points = points_of(name)
        if len(points) > most:
            raise UsageError(
                f"{name} are {len(points)} methods, and without being asked for no more than {most} are worked on: "
                f"leave values out, or say --most-points {len(points)}"
            )
        found |= dict.fromkeys(points)
    return tuple(found)


def flat_options(spec: str) -> dict[str, str]:
    """The options of a spec by their paths: `stackclip[head=efa[temperature=1]]` has `head` and `head.temperature`.

    A value in brackets that is no component with options is itself. Raises UsageError for what is no spec.
    """
    return _flat(Spec.parse(spec), DEEPEST)


def _flat(spec: Spec, deep: int) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in spec.options:
        flat[key] = value
        if deep and "[" in value and value.endswith("]"):
            with suppress(UsageError):
                inner = Spec.parse(value)
                flat[key] = inner.name
                flat |= {f"{key}.{name}": each for name, each in _flat(inner, deep - 1).items()}
    return flat


def axes_of(specs: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The options by which specs differ, each with its values in their order; NOT_GIVEN stands for one not given."""
    options = [flat_options(spec) for spec in specs]
    names = dict.fromkeys(name for each in options for name in each)
    values = {name: tuple(dict.fromkeys(each.get(name, NOT_GIVEN) for each in options)) for name in names}
    return {name: several for name, several in values.items() if len(several) > 1}
