"""The names on a shelf as its files state them: nothing is imported and no code of theirs runs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stackclip.registry.plugins import entry_points
from stackclip.registry.shelf import Shelf

__all__ = ["glanced"]

_LARGEST = 1 << 20  # bytes of a file that is looked into
_ROOT = Path(__file__).resolve().parents[2]


def glanced(shelf: Shelf, folder: Path | None = None) -> tuple[str, ...]:
    """The names that decorators in the package and in a workspace's `registry/` state in so many words, sorted.

    Those of installed entry points are among them. A name that code computes is not; `Shelf.names` has all.
    """
    found = {name for path in _files(shelf, folder) for name in _stated(shelf.kind, _text(path))}
    return tuple(sorted({*found, *_in_tables(_ROOT.joinpath(*shelf.home.split("."))), *entry_points(shelf.kind)}))


def _in_tables(home: Path) -> Iterator[str]:
    """The components of a room that are rows of a TOML file, a table each."""
    for path in sorted(home.glob("*.toml")):
        yield from tomllib.loads(_text(path))


def _stated(kind: str, code: str) -> Iterator[str]:
    """The names under which a file registers components of a kind: as text, or as a constant that it defines."""
    constants = dict(re.findall(r"^(\w+) = [\"']([a-z0-9-]+)[\"']", code, re.MULTILINE))
    registered = rf"^(?:@|\w+ = ){kind}\.register\((?:[\"']([a-z0-9-]+)[\"']|(\w+))"
    for text, constant in re.findall(registered, code, re.MULTILINE):
        yield from filter(None, [text or constants.get(constant)])


def _files(shelf: Shelf, folder: Path | None) -> Iterator[Path]:
    home = _ROOT.joinpath(*shelf.home.split("."))
    yield from sorted(home.glob("*.py")) if home.is_dir() else (home.with_suffix(".py"),)
    yield from sorted(folder.glob("*.py")) if folder is not None and folder.is_dir() else ()


def _text(path: Path) -> str:
    """What a file says; nothing where it cannot be read."""
    with suppress(OSError, ValueError):
        if path.is_file() and path.stat().st_size <= _LARGEST:
            return path.read_text("utf-8")
    return ""
