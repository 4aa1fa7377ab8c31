"""JSON files of one object that people write: each is read whole, or said in one line to be what it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stackclip.errors import DamagedFile, DataError
from stackclip.ops.seals import read_regular

__all__ = ["read_object"]

_LARGEST = 1 << 20  # bytes


def read_object(path: Path, *, wanted: str) -> dict[str, Any]:
    """The object in a JSON file of at most 1 MiB; `wanted` is what it looks like, as an error says.

    Raises DataError for a file that cannot be read, is no JSON, holds no object, or names anything twice.
    """
    try:
        text = read_regular(path, largest=_LARGEST).decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=lambda pairs: _once(path, pairs))
    except DamagedFile as error:
        raise DataError(f"{path}: cannot be read ({error.why(path)}); wanted a JSON file {wanted}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); wanted one object {wanted}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds a {type(found).__name__}; wanted one object {wanted}")
    return found


def _once(path: Path, pairs: list[tuple[str, object]]) -> dict[str, object]:
    table: dict[str, object] = {}
    for name, value in pairs:
        if name in table:
            raise DataError(f"{path}: names {name!r} twice")
        table[name] = value
    return table
