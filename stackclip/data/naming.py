"""What is typed for a data set: a name, a place or a name for a place, and what each is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stackclip.errors import UsageError
from stackclip.ops.files import expanded
from stackclip.registry import Spec, datasets

__all__ = [
    "absolute",
    "given_name",
    "is_folder",
    "name_of",
    "place_name",
    "places_of",
    "registered_name",
    "registered_spec",
]


def name_of(text: str, *, data_root: Path | None = None) -> str:
    """The name that a data set typed so gets, as far as the text tells; nothing is read."""
    given, place = given_name(text, data_root)
    spec = registered_spec(place)
    if given or spec is None:
        return given or place_name(absolute(expanded(place)))
    return registered_name(spec, datasets.create(spec))


def is_folder(text: str, data_root: Path | None = None) -> bool:
    """Whether the whole text is the path of a folder, or one with a name before it, below `data_root` too."""
    if any(place.is_dir() for place in places_of(text, data_root)):
        return True
    name, equals, place = text.partition("=")
    return bool(equals) and _is_name(name) and any(found.is_dir() for found in places_of(place, data_root))


def given_name(text: str, data_root: Path | None) -> tuple[str, str]:
    """The name that stands before `=`, empty if none does, and the rest. Raises UsageError for what names nothing."""
    name, equals, place = text.partition("=")
    if not equals or "[" in name or _is_place(name) or any(found.is_dir() for found in places_of(text, data_root)):
        return "", text
    if not _is_name(name) or not place.strip():
        raise UsageError(
            f"{text!r}: {name!r} names no data set; wanted NAME=PATH with letters, digits, '.', '_' and '-' in NAME"
        )
    return name, place.strip()


def registered_spec(text: str) -> Spec | None:
    """The registered data set that a text names, with its options; None for a place."""
    if _is_place(text):
        return None
    try:
        spec = Spec.parse(text)
    except UsageError:  # a path with brackets in it
        return None
    return spec if spec.name in datasets else None


def registered_name(spec: Spec, reader: Any) -> str:
    """The name that a registered data set has by itself: its reader's, or the registered one and the protocol."""
    registered = "-".join(word for word in (spec.name, getattr(reader, "protocol", "")) if word)
    return str(getattr(reader, "name", registered))


def place_name(root: Path) -> str:
    """The name that a folder or a file gives: its own in lower case, with hyphens for spaces."""
    name = root.stem if root.is_file() else root.name
    return "-".join(name.lower().split()) or "root"


def places_of(text: str, data_root: Path | None) -> list[Path]:
    """Where a folder may lie: below `data_root`, unless the path says itself where it begins, and as a path."""
    begins = text in (".", "..") or text.startswith(("./", "../", "~")) or Path(text).is_absolute()
    below = [] if data_root is None or begins else [absolute(data_root / text)]
    return [*below, absolute(expanded(text))]


def absolute(path: Path) -> Path:
    """The path without `.` and `..`, but with its links, whose names are the user's."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links, absolute() keeps `..`


def _is_name(text: str) -> bool:
    return text[:1].isalnum() and all(letter.isalnum() or letter in "._-" for letter in text)


def _is_place(text: str) -> bool:
    """Whether the text is the path of a folder by its form, so that no registered name is meant."""
    head = text.partition("[")[0]
    return "/" in head or os.sep in head or head.startswith("~") or head in (".", "..")
