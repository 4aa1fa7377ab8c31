"""What was read of pictures and masks, by place, for as long as a look at the file tells that it is the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.looks import Looks, absolute
from stackclip.cache.source_table import ReadPlace, SourceTable, gathered, keys_of
from stackclip.cache.sources import Reading, Role
from stackclip.errors import DamagedFile
from stackclip.ops.states import HAS_CHANGE_TIME, were_settled
from stackclip.ops.words import legible

__all__ = ["Readings", "readings_of"]

logger = logging.getLogger(__name__)


class Readings:
    """The readings of sources: those of this process, and those that `keep` wrote into the file `path`.

    A reading is believed while device, inode, size and both times of each file are as they were, and the times are
    older than the reading by more than three seconds: a file that was changed in the moment of its reading may look
    like the one that was read. Nothing here is needed: what is lost, damaged or cannot be written is read again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own: dict[ReadPlace, Reading] = {}
        self._new: set[ReadPlace] = set()

    def digests(self, looks: Looks) -> NDArray[np.bytes_]:
        """The digest of each source (n,), 32 bytes; zeros where it has to be read."""
        table, believed = self._kept
        found = np.zeros(len(looks.homes), table.digests.dtype)
        if len(table):
            rows = table.find(keys_of(zip(repeat(looks.role), looks.places, strict=False)))
            known = np.flatnonzero((rows >= 0) & believed[rows])
            # The five numbers of a file are of that file alone, whatever else has its place's key.
            known = known[table.have(rows[known], *gathered(looks.files, looks.ends, known))]
            found[known] = table.digests[rows[known]]
        for at, place in enumerate(looks.places) if self._own else ():
            if (own := self._own.get((looks.role, place))) is not None:
                same = own.files == looks.states(at) and _was_old_enough(own)
                found[at] = bytes.fromhex(own.digest) if same else b""
        return found

    def add(self, home: Path, role: Role, reading: Reading) -> None:
        """Take in what was just read."""
        place = role, absolute([home])[0]
        known = self._known(place)
        if known is None or known[:2] != reading[:2] or (_was_old_enough(reading) and not _was_old_enough(known)):
            self._new.add(place)
        self._own[place] = reading

    def keep(self, held: Callable[[str], bool]) -> None:
        """Write down what is new and whose digest the store holds; what cannot be written is read again some day."""
        new = {place: self._own[place] for place in list(self._new) if held(self._own[place].digest)}
        if not new or not HAS_CHANGE_TIME:
            return
        try:
            self._file()[0].joined(SourceTable.of(new)).write(self.path)
        except OSError as error:
            logger.debug("what was read of pictures is not kept: %s", error)
        self._new.difference_update(new)

    def damage(self) -> str | None:
        """What is wrong with the bytes of the file, if anything is."""
        return self._file()[1]

    def __iter__(self) -> Iterator[tuple[Path, Role, Reading]]:
        table, _ = self._kept
        kept = {table.place(row): table.reading(row) for row in range(len(table))}
        for (role, place), reading in {**kept, **self._own}.items():
            yield Path(place), role, reading

    def _known(self, place: ReadPlace) -> Reading | None:
        table, _ = self._kept
        [row] = table.find(keys_of([place]))
        return self._own.get(place) or (table.reading(int(row)) if row >= 0 else None)

    @cached_property
    def _kept(self) -> tuple[SourceTable, NDArray[np.bool_]]:
        """The readings of the file, and which of them were of files that had been left alone for long enough."""
        table, damage = self._file() if HAS_CHANGE_TIME else (SourceTable.of({}), None)
        if damage is not None:
            logger.warning("%s: it is left out, and what it told of is read again", legible(damage))
        return table, table.believed()

    def _file(self) -> tuple[SourceTable, str | None]:
        """The readings that were kept (none of another format), and what is wrong with the file's bytes."""
        try:
            return SourceTable.read(self.path), None
        except DamagedFile as error:
            if not isinstance(error.__cause__, OSError):
                return SourceTable.of({}), str(error)
            logger.debug("what was read of pictures is not known: %s", error)
            return SourceTable.of({}), None


def readings_of(folder: Path) -> Readings:
    """The readings that a store keeps."""
    return Readings(folder / "sources.bin")


def _was_old_enough(reading: Reading) -> bool:
    return were_settled(reading.files, reading.moment)
