"""Grids in a name: `stacked[clusters=1|2,head=linear|efa[temperature=1|10]]` is one component for each choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from math import prod

from stackclip.errors import UsageError
from stackclip.registry.spec import Spec, split_at, split_specs

__all__ = ["LARGEST", "NOT_GIVEN", "axes_of", "flat_options", "points_of", "spread_out"]

LARGEST = 4096
"""Points of the largest grid that is read at all."""
NOT_GIVEN = "default"
"""The value of an option that is not given, where others give it."""


def points_of(text: str) -> tuple[str, ...]:
    """The specs of a grid as they would be typed one by one, the last option's values next to each other.

    `|` stands between the values of an option, also within the brackets of one of them. A name without it is one point.
    Raises UsageError for an empty value, more than LARGEST points, and text whose brackets do not fit.
    """
    name, bracket, inside = text.strip().partition("[")
    if "|" in name:
        raise UsageError(f"cannot read {text!r}: | stands between values of an option; names are divided by commas")
    if not bracket or not inside.endswith("]"):
        return (text.strip(),)
    axes = [tuple(f"{key}={value}" for value in values) for key, values in map(_axis, split_specs(inside[:-1]))]
    if (count := prod(map(len, axes))) > LARGEST:
        raise UsageError(f"{text} are {count} points; wanted {LARGEST} at most: leave values out")
    return tuple(f"{name.strip()}[{','.join(point)}]" for point in product(*axes))


def _axis(item: str) -> tuple[str, tuple[str, ...]]:
    """An option with its values: `clusters=1|2` has two."""
    key, equals, value = item.partition("=")
    if not equals:
        return key, ("",)  # which is told by who reads the spec
    values = tuple(point for each in split_at("|", value) for point in points_of(each))
    if "" in values:
        raise UsageError(f"cannot read {item!r}: wanted a value on each side of |")
    return key, values


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
    """The options of a spec by their paths: `stackclip[head=efa[temperature=1]]` has `head` and `head.temperature`."""
    flat: dict[str, str] = {}
    for key, value in Spec.parse(spec).options:
        if value.endswith("]") and "[" in value:
            flat[key] = value.partition("[")[0].strip()
            flat |= {f"{key}.{inner}": each for inner, each in flat_options(value).items()}
        else:
            flat[key] = value
    return flat


def axes_of(specs: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The options by which specs differ, each with its values in their order; NOT_GIVEN stands for one not given."""
    options = [flat_options(spec) for spec in specs]
    names = dict.fromkeys(name for each in options for name in each)
    values = {name: tuple(dict.fromkeys(each.get(name, NOT_GIVEN) for each in options)) for name in names}
    return {name: several for name, several in values.items() if len(several) > 1}
