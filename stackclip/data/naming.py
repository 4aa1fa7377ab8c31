"""What is typed for a data set: a name, a place or a name for a place, and what each is called."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from stackclip.data.listing import is_picture
from stackclip.errors import UsageError
from stackclip.ops.files import expanded
from stackclip.registry import Spec, datasets

__all__ = [
    "absolute",
    "given_name",
    "is_there",
    "name_of",
    "place_name",
    "places_of",
    "registered_name",
    "registered_spec",
    "without_options",
]


def name_of(text: str, *, data_root: Path | None = None) -> str:
    """The name that a data set typed so gets, as far as the text tells; nothing is read."""
    given, place = given_name(text, data_root)
    spec = registered_spec(place)
    if given or spec is None:
        return given or place_name(_named_place(place, data_root))
    return registered_name(spec, datasets.create(spec))


def is_there(text: str, data_root: Path | None = None) -> bool:
    """Whether the whole text is the path of a folder or file, or one with a name before it, below `data_root` too."""
    if not text:
        return False  # no name at all, which as a path is the folder that one stands in
    if any(place.exists() for place in places_of(text, data_root)):
        return True
    name, equals, place = text.partition("=")
    return bool(equals) and _is_name(name) and any(found.exists() for found in places_of(place, data_root))


def without_options(text: str, data_root: Path | None) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The path in `PATH[option=value,...]` and the options, none where a folder or file has the whole text's name.

    Raises UsageError for brackets that hold no options.
    """
    start = _opening(text)
    if start <= 0 or "=" not in text[start:] or any(place.exists() for place in places_of(text, data_root)):
        return text, ()
    return text[:start], Spec.parse(f"folder{text[start:]}").options


def given_name(text: str, data_root: Path | None) -> tuple[str, str]:
    """The name that stands before `=`, empty if none does, and the rest. Raises UsageError for what names nothing."""
    if not text.strip():
        raise UsageError(f"{text!r} names no data set: give a name that `stackclip list datasets` shows, or a folder")
    name, equals, place = text.partition("=")
    if not equals or "[" in name or _is_place(name) or any(found.exists() for found in places_of(text, data_root)):
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


def _named_place(text: str, data_root: Path | None) -> Path:
    """The folder that gives a place its name: without options, what lies in it, or a pattern of that."""
    place = absolute(expanded(without_options(text, data_root)[0]))
    if any(each.is_dir() for each in places_of(text, data_root)):
        return absolute(expanded(text))
    if place.is_file():
        return place.parent if is_picture(place.name) else place
    return next(each for each in (place, *place.parents) if not glob.has_magic(each.as_posix()))


def _opening(text: str) -> int:
    """Where the bracket opens that the last letter closes; -1 where it closes none."""
    depth = 0
    for position in range(len(text) - 1, -1, -1) if text.endswith("]") else ():
        depth += (text[position] == "]") - (text[position] == "[")
        if not depth:
            return position
    return -1


def _is_name(text: str) -> bool:
    return text[:1].isalnum() and all(letter.isalnum() or letter in "._-" for letter in text)


def _is_place(text: str) -> bool:
    """Whether the text is the path of a folder by its form, so that no registered name is meant."""
    head = text.partition("[")[0]
    return "/" in head or os.sep in head or head.startswith("~") or head in (".", "..")
