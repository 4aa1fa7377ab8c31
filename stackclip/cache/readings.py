"""What was read of pictures and masks, by place, for as long as a look at the file tells that it is the same."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stackclip.cache.sources import Reading, Role
from stackclip.errors import DamagedFile
from stackclip.ops.files import write_atomically
from stackclip.ops.seals import read_regular, sealed, unsealed
from stackclip.ops.states import HAS_CHANGE_TIME, FileState, were_settled
from stackclip.ops.words import legible

__all__ = ["Readings", "readings_of"]

logger = logging.getLogger(__name__)

_FORMAT = 1
_LARGEST = 1 << 28  # bytes; a hundred thousand places have about 3e7
_ROLES: tuple[Role, ...] = ("picture", "mask")
_HEX = re.compile(r"[0-9a-f]{64}")

Place = tuple[Role, str]
"""What a file is used as, and its absolute path."""


class Readings:
    """The readings of sources: those of this process, and those that `keep` wrote into the file `path`.

    A reading is believed while device, inode, size and both times of each file are as they were, and the times are
    older than the reading by more than three seconds: a file that was changed in the moment of its reading may look
    like the one that was read. Nothing here is needed: what is lost, damaged or cannot be written is read again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readings: dict[Place, Reading] | None = None
        self._new: dict[Place, Reading] = {}

    def digest(self, home: Path, role: Role, files: tuple[FileState, ...]) -> str | None:
        """The digest of the source at `home`, whose files are in this state, or None where it has to be read."""
        reading = self._all.get(_place(home, role))
        return reading.digest if reading is not None and reading.files == files and _was_old_enough(reading) else None

    def add(self, home: Path, role: Role, reading: Reading) -> None:
        """Take in what was just read."""
        place = _place(home, role)
        known = self._all.get(place)
        if known is None or known[:2] != reading[:2] or (_was_old_enough(reading) and not _was_old_enough(known)):
            self._new[place] = reading
        self._all[place] = reading

    def keep(self, held: Callable[[str], bool]) -> None:
        """Write down what is new and whose digest the store holds; what cannot be written is read again some day."""
        new = {place: reading for place, reading in list(self._new.items()) if held(reading.digest) and _is_text(place)}
        if not new or not HAS_CHANGE_TIME:
            return
        try:
            data = _encoded({**self._file()[0], **new})
            write_atomically(self.path, data if len(data) <= _LARGEST else _encoded(new))
        except OSError as error:
            logger.debug("what was read of pictures is not kept: %s", error)
        for place in new:
            self._new.pop(place, None)

    def damage(self) -> str | None:
        """What is wrong with the bytes of the file, if anything is."""
        return self._file()[1]

    def __iter__(self) -> Iterator[tuple[Path, Role, Reading]]:
        for (role, place), reading in list(self._all.items()):
            yield Path(place), role, reading

    @property
    def _all(self) -> dict[Place, Reading]:
        if self._readings is None:  # two threads that come first read the same
            self._readings, damage = self._file() if HAS_CHANGE_TIME else ({}, None)
            if damage is not None:
                logger.warning("%s: it is left out, and what it told of is read again", legible(damage))
        return self._readings

    def _file(self) -> tuple[dict[Place, Reading], str | None]:
        """The readings that were kept (none of another format), and what is wrong with the file's bytes."""
        try:
            content = unsealed(read_regular(self.path, largest=_LARGEST))
            return dict(_parsed(content)) if content.get("format") == _FORMAT else {}, None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {}, f"{self.path}: {error}"
        except DamagedFile as error:
            if not isinstance(error.__cause__, OSError):
                return {}, str(error)
            logger.debug("what was read of pictures is not known: %s", error)
            return {}, None


def readings_of(folder: Path) -> Readings:
    """The readings that a store keeps."""
    return Readings(folder / "sources.json")


def _was_old_enough(reading: Reading) -> bool:
    return were_settled(reading.files, reading.moment)


def _place(home: Path, role: Role) -> Place:
    return role, os.path.abspath(home)  # noqa: PTH100 -- Path.absolute keeps `..`, Path.resolve reads every link


def _is_text(place: Place) -> bool:
    try:
        place[1].encode()
    except UnicodeEncodeError:
        return False
    return True


def _encoded(readings: Mapping[Place, Reading]) -> bytes:
    content: dict[str, Any] = {"format": _FORMAT, **{role: {} for role in _ROLES}}
    for (role, place), reading in readings.items():
        files = [list(file) for file in reading.files]
        content[role][place] = {"source": reading.digest, "read": reading.moment, "files": files}
    return sealed(content)


def _parsed(content: Mapping[str, Any]) -> Iterator[tuple[Place, Reading]]:
    for role in _ROLES:
        for place, facts in content[role].items():
            files = tuple(FileState(*map(int, file)) for file in facts["files"])
            if not _HEX.fullmatch(facts["source"]):
                raise ValueError(f"{facts['source']!r} is no digest")
            yield (role, place), Reading(facts["source"], files, int(facts["read"]))
