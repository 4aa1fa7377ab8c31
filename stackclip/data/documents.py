"""Reads the JSON and XML that other programs write, or says in one line why it cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from stackclip.data.outlines import Position
from stackclip.errors import DamagedFile, DataError
from stackclip.ops.seals import read_regular
from stackclip.ops.words import one_line

__all__ = ["number", "pairs", "parsing", "read_document", "read_json", "read_tree"]

_LARGEST = 1 << 31  # bytes
_FARTHEST = 1e7  # pixels
_ODD = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


@contextmanager
def parsing(where: str | Path, wanted: str) -> Iterator[None]:
    """What goes wrong with values of a document becomes a DataError that names the place and what was wanted."""
    try:
        yield
    except _ODD as error:
        found = f"no {error}" if isinstance(error, KeyError) else one_line(error) or type(error).__name__
        raise DataError(f"{where}: {found}; wanted {wanted}") from None


def read_document(path: Path) -> bytes:
    """The bytes of a document of at most 2 GiB; raises DataError."""
    try:
        return read_regular(path, largest=_LARGEST)
    except DamagedFile as error:
        raise DataError(f"{path}: cannot be read ({error.why(path)})") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises DataError."""
    try:
        return json.loads(read_document(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({one_line(error)})") from None


def read_tree(path: Path) -> ElementTree.Element:
    """The root element of an XML file; raises DataError, for one that declares entities too."""
    data = read_document(path)
    if b"<!ENTITY" in data:
        raise DataError(f"{path}: declares entities, which no file of annotations needs; not read")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path}: not XML ({one_line(error)})") from None


def number(value: Any) -> float:
    """A coordinate in pixels or a measure; raises ValueError for what is none."""
    found = float(value)
    if not isfinite(found) or abs(found) > _FARTHEST:
        raise ValueError(f"{value!r} is no place in a picture")
    return found


def pairs(values: Iterable[Any]) -> tuple[Position, ...]:
    """Points of a flat list x, y, x, y; raises ValueError for an odd number of values, or none."""
    flat = [number(value) for value in values]
    if len(flat) % 2 or not flat:
        raise ValueError(f"{len(flat)} coordinates")
    return tuple(zip(flat[::2], flat[1::2], strict=True))
