"""Rows on disk: one JSON file a cell, written whole when the cell is done, found again by what it was measured on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stackclip.ops.files import canonical_json, content_hash, write_atomically
from stackclip.types import Row

__all__ = ["SCHEMA", "RowFolder", "cell_id", "row_from_json", "row_to_json"]

SCHEMA = "stackclip-row/1"
logger = logging.getLogger(__name__)


def cell_id(identity: Mapping[str, Any]) -> str:
    """A cell's name: the hash of everything that its figures depend on."""
    return content_hash(canonical_json({"schema": SCHEMA, **identity}))[:24]


def row_to_json(row: Row) -> dict[str, Any]:
    """A row as JSON can hold it."""
    return {"schema": SCHEMA, **asdict(row), "train_on": list(row.train_on)}


def row_from_json(facts: Mapping[str, Any]) -> Row:
    """The inverse of `row_to_json`. Raises ValueError for another schema or for missing fields."""
    if not isinstance(facts, Mapping):
        raise ValueError(f"found {type(facts).__name__}, wanted an object")
    if facts.get("schema") != SCHEMA:
        raise ValueError(f"found schema {facts.get('schema')!r}, wanted {SCHEMA!r}")
    fields = {name: value for name, value in facts.items() if name != "schema"}
    try:
        return Row(**{**fields, "train_on": tuple(fields["train_on"])})
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class RowFolder:
    """A folder of rows, `<cell id>.json` each. A damaged file is reported and counts as not there."""

    folder: Path

    def find(self, cell: str) -> Row | None:
        """The finished row of a cell, if there is one."""
        path = self.folder / f"{cell}.json"
        return _read(path) if path.exists() else None

    def write(self, cell: str, row: Row) -> None:
        """Keep a finished row."""
        text = json.dumps(row_to_json(row), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        write_atomically(self.folder / f"{cell}.json", text.encode() + b"\n")

    def __iter__(self) -> Iterator[Row]:
        """All finished rows, oldest first."""
        for path in sorted(self.folder.glob("[!.]*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
            row = _read(path)
            if row is not None:
                yield row

    def latest(self) -> list[Row]:
        """The finished rows that hold now: where pictures or code changed since a row, the one measured last."""
        return list({_cell_of(row): row for row in self}.values())


def _cell_of(row: Row) -> tuple[object, ...]:
    asked = row.facts.get("protocol")
    return row.method, row.train_on, row.test_on, row.category, row.shots, row.seed, asked


def _read(path: Path) -> Row | None:
    try:
        return row_from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        logger.warning("%s: not a row (%s); its cell is computed again", path, error)
        return None
