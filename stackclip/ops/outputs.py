"""Folders that stackclip fills for people: how they are known again, and how what is in them is named."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from stackclip.errors import DamagedFile
from stackclip.ops.files import canonical_json, content_hash, write_atomically
from stackclip.ops.seals import read_regular

__all__ = [
    "MARKER",
    "folder_name",
    "is_output",
    "is_unique_name",
    "mark_output",
    "unique_name",
    "unique_names",
]

MARKER = ".stackclip-output.json"
"""The file that says that stackclip wrote what is beside it, so that no heat map is taken for a picture."""

_FACTS = {"type": "stackclip-output", "version": 1}
_STEM, _DIGEST = 60, 16  # characters
_PLAIN_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]*")
_UNIQUE = re.compile(rf"[A-Za-z0-9_-]*-[0-9a-f]{{{_DIGEST}}}")
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))]
)  # on Windows, whatever stands behind a dot


def mark_output(folder: Path) -> None:
    """Make the folder, if it is not there, one that stackclip fills. Raises OSError."""
    if not is_output(folder):
        write_atomically(folder / MARKER, canonical_json(_FACTS) + b"\n")


def is_output(folder: Path) -> bool:
    """Whether stackclip fills the folder, wherever it was moved."""
    try:
        facts = json.loads(read_regular(folder / MARKER, largest=4096))
    except (DamagedFile, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get("type") == _FACTS["type"]


def unique_name(path: str) -> str:
    """A short ASCII file name, without extension, for a path with forward slashes: its stem and a digest of it all.

    It is the same in every run, and another for every path also where case, or how letters are composed, is lost.
    """
    name = path.rpartition("/")[2]
    return _with_digest(name.rpartition(".")[0] or name, path)


def unique_names(paths: Iterable[str]) -> dict[str, str]:
    """A file name, without extension, for each path: its stem where that is plain and no other's, else a unique name.

    Stems that differ in case alone are not told apart everywhere, so they are not plain enough.
    """
    stems = {path: path.rpartition("/")[2].rpartition(".")[0] for path in paths}
    counts = Counter(stem.lower() for stem in stems.values())
    return {
        path: stem if _is_plain_stem(stem) and counts[stem.lower()] == 1 else unique_name(path)
        for path, stem in stems.items()
    }


def _is_plain_stem(stem: str) -> bool:
    plain = _PLAIN_STEM.fullmatch(stem) and len(stem) <= _STEM
    return bool(plain) and stem.lower() not in _RESERVED and not is_unique_name(stem)


def is_unique_name(name: str) -> bool:
    """Whether a name could be one that `unique_name` gave."""
    return _UNIQUE.fullmatch(f"-{name}") is not None


def folder_name(spec: str) -> str:
    """A name for the folder of a component: its own where every file system takes that, else one as unique."""
    is_plain = _PLAIN.fullmatch(spec) and len(spec) <= _STEM and spec not in _RESERVED and not is_unique_name(spec)
    return spec if is_plain else _with_digest(spec, spec)


def _with_digest(stem: str, text: str) -> str:
    letters = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", letters)[:_STEM].strip("_-")
    return f"{plain}-{content_hash(text.encode())[:_DIGEST]}".lstrip("-")
