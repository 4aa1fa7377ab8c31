"""What JSON values may be: small tests that are put together to larger ones."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from stackclip.errors import UsageError
from stackclip.registry import Spec
from stackclip.sizes import said_size

__all__ = [
    "Check",
    "is_any",
    "is_fraction",
    "is_keyed_by_numbers",
    "is_method",
    "is_natural",
    "is_number",
    "is_packed",
    "is_place",
    "is_size",
    "is_text",
    "is_time",
    "is_whole",
    "list_of",
    "object_of",
    "object_with",
    "or_none",
    "pair_of",
]

Check = Callable[[Any], bool]
"""Whether a value is what it must be."""


def is_text(value: Any) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def is_method(value: Any) -> bool:
    """Whether it is a spec of a method."""
    try:
        return is_text(value) and bool(Spec.parse(value).name)
    except UsageError:
        return False


def is_natural(value: Any) -> bool:
    """Whether it is 0, 1, 2 ... of 64 bits."""
    return is_whole(value) and value >= 0


def is_size(value: Any) -> bool:
    """Whether it is a side in pixels, or a height and a width as they are written, `112x224`."""
    if not isinstance(value, str):
        return is_natural(value)
    with suppress(UsageError):
        return said_size(value) == value
    return False


def is_whole(value: Any) -> bool:
    """Whether it is a whole number of 64 bits, which files of every form hold."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def is_time(value: Any) -> bool:
    """Whether it is a number of seconds."""
    return is_number(value) and value >= 0


def is_fraction(value: Any) -> bool:
    """Whether it is a metric; sums of many floats may end a little beside 0 and 1."""
    return type(value) in (int, float) and -1e-9 <= value <= 1 + 1e-9


def is_any(value: Any) -> bool:
    """Whatever it is."""
    return True


def list_of(each: Check) -> Check:
    """A list of such."""
    return lambda value: isinstance(value, list) and all(map(each, value))


def pair_of(each: Check) -> Check:
    """A list of two such."""
    return lambda value: list_of(each)(value) and len(value) == 2


def object_of(each: Check) -> Check:
    """An object of any names; every JSON object has text for names."""
    return lambda value: isinstance(value, dict) and all(map(each, value.values()))


def object_with(fields: Mapping[str, Check], *, needed: tuple[str, ...] = ()) -> Check:
    """An object that has the `needed` fields, and those of `fields` that it has as they must be."""

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or any(name not in value for name in needed):
            return False
        return all(each(value[name]) for name, each in fields.items() if name in value)

    return fits


def or_none(each: Check) -> Check:
    """Such a value, or null."""
    return lambda value: value is None or each(value)


def is_packed(value: Any) -> bool:
    """Whether it is base64 of numbers of two bytes."""
    try:
        return isinstance(value, str) and len(b64decode(value, validate=True)) % 2 == 0
    except ValueError:
        return False


def is_place(value: Any) -> bool:
    """Whether it is a pair of a place and the digests of categories."""
    return isinstance(value, list) and len(value) == 2 and is_text(value[0]) and object_of(is_text)(value[1])


def is_keyed_by_numbers(value: Any) -> bool:
    """Whether it is an object of numbers whose names are whole numbers."""
    return object_of(is_number)(value) and all(name.isdecimal() for name in value)
