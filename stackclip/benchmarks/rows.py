"""Rows on disk: one sealed file a cell, written whole when the cell is done, found again by what it was measured on."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stackclip.benchmarks.shapes import check_row, check_seen
from stackclip.errors import DamagedFile
from stackclip.ops.files import canonical_json, content_hash, write_atomically
from stackclip.ops.seals import read_regular, sealed, unsealed
from stackclip.ops.words import agreed, counted, legible
from stackclip.types import Row

__all__ = ["SCHEMA", "Entry", "RowFolder", "TestedAt", "WrittenAt", "cell_id", "row_from_json", "row_to_json"]

SCHEMA = "stackclip-row/2"
LARGEST = 1 << 26  # bytes of a row that are read at all; one with long curves and draws has about 1e6
logger = logging.getLogger(__name__)


def cell_id(identity: Mapping[str, Any]) -> str:
    """A cell's name: the hash of everything that its figures depend on."""
    return content_hash(canonical_json({"schema": SCHEMA, **identity}))[:24]


def row_to_json(row: Row) -> dict[str, Any]:
    """A row as JSON can hold it."""
    return {"schema": SCHEMA, **asdict(row), "train_on": list(row.train_on)}


def row_from_json(facts: Mapping[str, Any]) -> Row:
    """The inverse of `row_to_json`. Raises ValueError for another schema, and for fields that lack or are no such."""
    if not isinstance(facts, Mapping):
        raise ValueError(f"found {type(facts).__name__}, wanted an object")
    if facts.get("schema") != SCHEMA:
        raise ValueError(f"found schema {facts.get('schema')!r}, wanted {SCHEMA!r}")
    fields = {name: value for name, value in facts.items() if name != "schema"}
    check_row(fields)
    return Row(**{**fields, "train_on": tuple(fields["train_on"])})


@dataclass(frozen=True, slots=True, order=True)
class WrittenAt:
    """When a row was measured, or found again by a bench: nanoseconds since 1970 (UTC), and a number where these tie.

    No row that is written is earlier than one that stood in its folder, whatever the clock says.
    """

    time: int
    sequence: int = 0

    def next(self) -> WrittenAt:
        """The present, if that is later; else the moment after this one."""
        now = time.time_ns()
        return WrittenAt(now) if now > self.time else WrittenAt(self.time, self.sequence + 1)


TestedAt = Mapping[str, Mapping[str, str]]
"""Place -> category -> digest: the tested pictures of a bench that measured or found a row there, the latest first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as its folder keeps it."""

    cell: str
    written: WrittenAt
    row: Row
    seen: TestedAt = field(default_factory=dict)


@dataclass(slots=True)
class _Diary:
    """What a folder's reader has seen and said so far."""

    latest: WrittenAt | None = None
    named: set[Path] = field(default_factory=set)
    older: bool = False


class _OlderRow(ValueError):
    """A row that was not sealed yet."""


@dataclass(frozen=True, slots=True)
class RowFolder:
    """A folder of rows, `<cell id>.json` each. A damaged file is reported once and counts as not there."""

    folder: Path
    _diary: _Diary = field(default_factory=_Diary, repr=False, compare=False)

    def find(self, cell: str) -> Row | None:
        """The finished row of a cell, if there is one."""
        entry = self.entry(cell)
        return entry.row if entry else None

    def entry(self, cell: str) -> Entry | None:
        """The finished row of a cell with what is kept beside it, if there is one."""
        return self._read(self._path(cell))

    def write(self, cell: str, row: Row, seen: TestedAt = MappingProxyType({})) -> None:
        """Keep a finished row as the latest of all. Raises OSError."""
        if self._diary.latest is None:
            self.entries(aloud=False)
        written = (self._diary.latest or WrittenAt(0)).next()
        moment = {"time": written.time, "sequence": written.sequence}
        places = [[place, dict(categories)] for place, categories in seen.items()]
        content = {"schema": SCHEMA, "cell": cell, "written": moment, "seen": places, "row": row_to_json(row)}
        write_atomically(self._path(cell), sealed(content))
        self._diary.latest = written

    def entries(self, *, aloud: bool = True) -> list[Entry]:
        """All finished rows, oldest first; `aloud` names each file that is none, and raises OSError for the folder."""
        found, older = [], 0
        for path in self._files(aloud=aloud):
            try:
                entry = self._read(path, aloud=aloud)
            except _OlderRow:
                older += 1
                continue
            found += [entry] if entry else []
        if older and not self._diary.older:
            self._diary.older = True
            words = f"{counted(older, 'row')} of an older stackclip {agreed('are', older)} not read"
            logger.warning("%s", f"{self.folder}: {words}; run the bench again")
        found.sort(key=lambda entry: (entry.written, entry.cell))
        known = [entry.written for entry in found[-1:]] + [self._diary.latest or WrittenAt(0)]
        self._diary.latest = max(known)
        return found

    def __iter__(self) -> Iterator[Row]:
        """All finished rows, oldest first."""
        return (entry.row for entry in self.entries())

    def _path(self, cell: str) -> Path:
        return self.folder / f"{cell}.json"

    def _files(self, *, aloud: bool) -> list[Path]:
        try:
            found = sorted(self.folder.iterdir())  # a glob is silent about a folder that it cannot read
        except FileNotFoundError:
            return []
        except OSError:
            if aloud:
                raise
            return []
        return [path for path in found if path.suffix == ".json" and not path.name.startswith(".")]

    def _read(self, path: Path, *, aloud: bool = True) -> Entry | None:
        """What a file keeps. Raises _OlderRow for one that an older version wrote."""
        try:
            return _entry(path)
        except _OlderRow:
            raise
        except DamagedFile as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            said = str(error)
        except ValueError as error:
            said = f"{path}: not a row ({error})"
        if aloud and path not in self._diary.named:
            self._diary.named.add(path)
            logger.warning("%s", f"{legible(said)}; a bench computes its cell again")
        return None


def _entry(path: Path) -> Entry:
    """Read a file that `RowFolder.write` wrote; raises DamagedFile, and ValueError for any other content or name."""
    data = read_regular(path, largest=LARGEST)
    try:
        content = unsealed(data)
    except ValueError:
        if _is_older(data):
            raise _OlderRow from None
        raise
    if content.get("cell") != path.stem:
        raise ValueError("it is the row of another cell, under this one's name")
    written = content.get("written")
    if not isinstance(written, dict) or set(written) != {"time", "sequence"}:
        raise ValueError("it does not say when it was written")
    if any(type(number) is not int or not 0 <= number < 1 << 63 for number in written.values()):
        raise ValueError(f"it was written at {written}")
    row, seen = row_from_json(content.get("row", {})), check_seen(content.get("seen"))
    return Entry(path.stem, WrittenAt(**written), row, seen)


def _is_older(data: bytes) -> bool:
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get("schema") == "stackclip-row/1"
