"""What a disk may hold after the power went, worked out from the log of what a process asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from .lab import Operation

SECTOR = 512  # bytes that a disk writes at once or not at all

Model = Literal["unordered", "ordered"]
"""What is lost. `unordered`: bytes are safe from an fsync of their file on, names from one of their folder on, and
whatever came later is kept or lost each by itself. `ordered`: a journal; every fsync makes all names and sizes before
it safe, later ones are kept up to some moment, but bytes are safe only from an fsync of their own file on."""


@dataclass(eq=False)
class _File:
    """The writes (moment, offset, bytes) and sizes (moment, size, may shrink) of a file, and its fsyncs."""

    writes: list[tuple[int, int, bytes]] = field(default_factory=list)
    sizes: list[tuple[int, int, bool]] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)


@dataclass(eq=False)
class _Folder:
    """The changes (moment, {name: what it now stands for}) of a folder's entries, and its fsyncs."""

    changes: list[tuple[int, dict[str, _File | _Folder | None]]] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)


class Disk:
    """The files and folders below `root` with their whole history, moments being places in the log."""

    def __init__(self, root: Path, log: Iterable[Operation]) -> None:
        self._root = _Folder()
        self._now: dict[Path, _File | _Folder] = {root: self._root}
        self._told: list[tuple[int, bytes]] = []
        self._syncs: list[int] = []
        self.moments = 0
        for operation in log:
            if operation.kind == "note":
                self._told.append((self.moments, operation.data))
            elif not operation.failed:
                self._take(operation)
            self.moments += 1

    def told(self, crash: int) -> bytes:
        """What had been acknowledged before the crash."""
        return b"".join(data for moment, data in self._told if moment < crash)

    def state(self, crash: int, model: Model, random: Random, into: Path) -> None:
        """Write into an empty folder what may be left of all that was asked before the moment `crash`."""
        chance = random.choice((0.0, 0.2, 0.5, 0.8, 1.0))  # how much of what is not safe comes through
        last = max((sync for sync in self._syncs if sync < crash), default=0)
        journal = random.randint(last, crash) if model == "ordered" else None
        self._materialise(self._root, _View(crash, journal, chance, random), into)

    def _take(self, operation: Operation) -> None:
        moment, path = self.moments, Path(operation.path)
        match operation.kind:
            case "open" if operation.created == 1:
                self._set(moment, {path: _File()})
            case "open" if operation.created == 2:
                self._file(path).sizes.append((moment, 0, True))
            case "mkdir":
                self._set(moment, {path: _Folder()})
            case "write":
                self._file(path).writes.append((moment, operation.offset, operation.data))
            case "truncate":
                self._file(path).sizes.append((moment, operation.offset, True))
            case "allocate":
                self._file(path).sizes.append((moment, operation.offset, False))
            case "rename":
                assert path.parent == Path(operation.second).parent, "a rename between folders is not modelled"
                self._set(moment, {path: None, Path(operation.second): self._now[path]})
            case "link":
                self._set(moment, {Path(operation.second): self._now[path]})
            case "unlink":
                self._set(moment, {path: None})
            case "fsync":
                self._now[path].syncs.append(moment)
                self._syncs.append(moment)

    def _file(self, path: Path) -> _File:
        found = self._now[path]
        assert isinstance(found, _File)
        return found

    def _set(self, moment: int, entries: dict[Path, _File | _Folder | None]) -> None:
        folder = self._now[next(iter(entries)).parent]
        assert isinstance(folder, _Folder)
        folder.changes.append((moment, {path.name: entry for path, entry in entries.items()}))
        for path, entry in entries.items():
            if entry is None:
                del self._now[path]
            else:
                self._now[path] = entry

    def _materialise(self, folder: _Folder, view: _View, into: Path) -> None:
        names: dict[str, _File | _Folder | None] = {}
        for moment, entries in folder.changes:
            if view.keeps_metadata(moment, folder.syncs):
                names |= entries
        for name, entry in names.items():
            if isinstance(entry, _File):
                (into / name).write_bytes(view.content(entry))
            elif isinstance(entry, _Folder):
                (into / name).mkdir()
                self._materialise(entry, view, into / name)


@dataclass(frozen=True)
class _View:
    """One fate of what was not safe at the crash."""

    crash: int
    journal: int | None
    chance: float
    random: Random

    def safe(self, moment: int, syncs: Sequence[int]) -> bool:
        """Whether an fsync came between the moment and the crash."""
        return any(moment < sync < self.crash for sync in syncs)

    def keeps_metadata(self, moment: int, syncs: Sequence[int]) -> bool:
        """Whether a change of names or of a size is on the disk."""
        if moment >= self.crash:
            return False
        if self.journal is not None:
            return moment < self.journal
        return self.safe(moment, syncs) or self.random.random() < self.chance

    def content(self, file: _File) -> bytes:
        """The bytes of a file: those that are safe, and of the others whole sectors or zeros."""
        data = bytearray()
        history = [(moment, size, shrinks, b"") for moment, size, shrinks in file.sizes]
        history += [(moment, offset, False, written) for moment, offset, written in file.writes]
        for moment, place, shrinks, written in sorted(history, key=lambda event: event[0]):
            if moment >= self.crash:
                break
            if not written:
                if self.keeps_metadata(moment, file.syncs):
                    data = data[:place] if shrinks else data
                    data.extend(bytes(max(0, place - len(data))))
                continue
            if self.safe(moment, file.syncs):
                data.extend(bytes(max(0, place + len(written) - len(data))))
                data[place : place + len(written)] = written
                continue
            if self.keeps_metadata(moment, file.syncs):  # the size came through, whatever became of the bytes
                data.extend(bytes(max(0, place + len(written) - len(data))))
            for start in range(0, len(written), SECTOR):
                sector = written[start : start + SECTOR]
                stays = self.journal is None or place + start + len(sector) <= len(data)
                if stays and self.random.random() < self.chance:
                    data.extend(bytes(max(0, place + start + len(sector) - len(data))))
                    data[place + start : place + start + len(sector)] = sector
        return bytes(data)


def without_file_syncs(log: Iterable[Operation], root: Path) -> list[Operation]:
    """The log of a writer that never forces a file to the disk."""
    log = list(log)
    folders = _folders(log, root)
    return [operation for operation in log if operation.kind != "fsync" or operation.path in folders]


def without_folder_syncs(log: Iterable[Operation], root: Path) -> list[Operation]:
    """The log of a writer that never forces a folder's entries to the disk."""
    log = list(log)
    folders = _folders(log, root)
    return [operation for operation in log if operation.kind != "fsync" or operation.path not in folders]


def _folders(log: Iterable[Operation], root: Path) -> set[str]:
    return {str(root), *(operation.path for operation in log if operation.kind == "mkdir")}
