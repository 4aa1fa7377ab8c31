"""The index of a store as a file beside it: what is in segments whose files are still those that were seen."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.columns import read_columns, write_columns
from stackclip.cache.record_table import RecordTable
from stackclip.cache.refusals import refused_read
from stackclip.errors import DamagedFile
from stackclip.ops.states import FileState, were_settled
from stackclip.types import Part

__all__ = ["IndexFile", "Seen", "can_be_kept", "damage_of_index", "index_of", "read_index", "seen_in", "seen_of"]

logger = logging.getLogger(__name__)

_FORMAT = 1
_NAME = re.compile(r"\d{6,}\.(json|h5)")
_WANTED = {
    "states": "<i8",
    "lengths": "<u8",
    "digests": "|S32",
    **dict.fromkeys(("segments", "records", "sets"), "<u4"),
}
_LIMIT = 1 << 63
_FACTS = 1 << 20  # bytes of an index that are there for other things than records

Seen = tuple[FileState, ...]
"""What a file system says of a manifest and of its segment; fewer where it does not say."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """What an index's file tells: the segments that it covers, as they were seen before the `moment` (ns), its rows.

    The number of a segment in `table` is its place in `seen`, that of a set of parts its place in `sets`.
    `lengths` (n,) are the sizes of the sources' files, sorted.
    """

    moment: int
    seen: Mapping[str, Seen]
    sets: Sequence[frozenset[Part]]
    lengths: NDArray[np.uint64]
    table: RecordTable

    def believed(self, found: Mapping[str, Seen]) -> NDArray[np.bool_]:
        """Of which segments (n,) the rows are believed, by what is found now."""
        pairs = self.seen.items()
        return np.array([found.get(stem) == seen and were_settled(seen, self.moment) for stem, seen in pairs], bool)

    def write(self, folder: Path, store: str) -> bool:
        """Put it in place of the index in a folder, for the store of this digest; whether that could be done."""
        states = [[int(stem), *(value for file in seen for value in file[1:])] for stem, seen in self.seen.items()]
        sets = [sorted(map(str, parts)) for parts in self.sets]
        facts = {"format": _FORMAT, "store": store, "moment": self.moment, "sets": sets}
        table = self.table
        arrays: list[NDArray[Any]] = [np.array(states, np.int64).reshape(-1, 9), self.lengths]
        arrays += [table.digests, table.segments, table.records, table.sets]
        try:
            write_columns(index_of(folder), facts, dict(zip(_WANTED, arrays, strict=True)))
        except OSError as error:
            logger.debug("the index is not kept: %s", error)
            return False
        return True

    @classmethod
    def read(cls, path: Path, store: str, *, largest: int) -> IndexFile | None:
        """What the file tells, None where it is another store's or of another format. Raises DamagedFile."""
        facts, columns = read_columns(path, _WANTED, largest=largest)
        if facts.get("format") != _FORMAT or facts.get("store") != store:
            return None
        try:
            return cls._parsed(facts, **columns)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise DamagedFile(f"{path}: its facts do not fit together ({error})") from None

    @classmethod
    def _parsed(cls, facts: dict[str, Any], *, states: Any, lengths: Any, **rows: Any) -> IndexFile:
        table, sets = RecordTable(**rows), [frozenset(map(Part.parse, names)) for names in facts["sets"]]
        if (
            states.shape[1:] != (9,)
            or lengths.ndim != 1
            or any(column.shape != (len(table),) for column in rows.values())
        ):
            raise ValueError("its columns have other shapes")
        if len(table) and (table.segments.max() >= len(states) or table.sets.max() >= len(sets)):
            raise ValueError("a record is of no segment, or of no set of parts")
        if np.any(table.digests[1:] < table.digests[:-1]) or np.any(lengths[1:] <= lengths[:-1]):
            raise ValueError("it is not sorted")
        seen = {f"{row[0]:06d}": (FileState(0, *row[1:5]), FileState(0, *row[5:])) for row in states.tolist()}
        if len(seen) != len(states):
            raise ValueError("a segment is there twice")
        return cls(int(facts["moment"]), seen, sets, lengths, table)


def can_be_kept(stem: str, seen: Seen, moment: int) -> bool:
    """Whether what is in a segment may be written down as it was seen, by the moment before the look (ns)."""
    numbers = [int(stem), *(value for file in seen for value in file)]
    plain = stem == f"{int(stem):06d}" and len(seen) == 2 and all(-_LIMIT <= number < _LIMIT for number in numbers)
    return plain and were_settled(seen, moment)


def index_of(folder: Path) -> Path:
    """The file of a store's index."""
    return folder / "index.bin"


def read_index(folder: Path, store: str, found: Mapping[str, Seen]) -> IndexFile | None:
    """The index that was kept of a store in whose folder these segments are found, if there is one that is whole."""
    # A row is shorter than the record that it is of, so that a larger file is none that we wrote.
    largest = _FACTS + sum(seen[0].size for seen in found.values() if seen)
    try:
        return IndexFile.read(index_of(folder), store, largest=largest)
    except DamagedFile as error:
        logger.debug("the index is made anew: %s", error)
        return None


def damage_of_index(folder: Path, store: str) -> str | None:
    """What is wrong with the bytes of a store's index, if anything is."""
    try:
        IndexFile.read(index_of(folder), store, largest=1 << 48)
    except DamagedFile as error:
        return None if isinstance(error.__cause__, OSError) else str(error)
    return None


def seen_in(folder: Path) -> dict[str, Seen]:
    """The manifests that are there now, by their names without a suffix, each with what tells it from another file.

    Raises UnreadableStore for a folder that may not be looked into.
    """
    states: dict[str, FileState | None] = {}
    try:
        with os.scandir(folder / "segments") as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    try:
                        states[entry.name] = _state(entry.stat())
                    except FileNotFoundError:
                        continue  # dropped by a repair while we looked
                    except OSError:
                        states[entry.name] = None  # opening it will say what is wrong with it
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused_read(folder / "segments", error) from None
    manifests = [name[: -len(".json")] for name in states if name.endswith(".json")]
    return {stem: _pair(states.get(f"{stem}.json"), states.get(f"{stem}.h5")) for stem in manifests}


def seen_of(manifest: Path) -> Seen:
    """What a file system says of one manifest and its segment; raises OSError."""
    return _state(manifest.stat()), _state(manifest.with_suffix(".h5").stat())


def _pair(*states: FileState | None) -> Seen:
    return tuple(state for state in states if state is not None)


def _state(found: os.stat_result) -> FileState:
    return FileState.of(found)._replace(device=0)  # one disk is another device on each machine that mounts it
