"""What a store assumes of the file system that it lies on, each tried at a place."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stackclip.cache.lock import SharedLock, WriterLock
from stackclip.cache.rival import WHOLES, Rival, claim_all
from stackclip.cache.writer import SEAL_BYTES
from stackclip.errors import StoreError
from stackclip.ops.drafts import Draft
from stackclip.ops.files import sync_folder, write_atomically
from stackclip.ops.words import counted, size

__all__ = ["Trial", "fitness"]

_ROUNDS = 500  # names that two processes fight for
_FILES = 20  # that one writes and the other reads
_LONG = "ä" + "x" * 200


@dataclass(frozen=True, slots=True)
class Trial:
    """An assumption that was tried: whether it holds, what was seen, and what it means where it does not hold."""

    assumption: str
    holds: bool
    seen: str
    otherwise: str


@dataclass(frozen=True, slots=True)
class _Assumption:
    words: str
    otherwise: str
    tried: Callable[[Path, Rival], str]

    def trial(self, folder: Path, rival: Rival) -> Trial:
        try:
            return Trial(self.words, True, self.tried(folder, rival), self.otherwise)
        except (OSError, StoreError) as error:
            return Trial(self.words, False, str(error), self.otherwise)


def fitness(place: Path) -> Iterator[Trial]:
    """Try at a folder that exists what a store assumes of it, in a new folder that is removed again.

    What only several machines together can show is not tried. Raises StoreError where nothing can be written.
    """
    with _scratch(place) as folder, Rival(folder) as rival:
        for assumption in _ASSUMPTIONS:
            yield assumption.trial(folder, rival)


@contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix=".stackclip-fitness-", dir=place))
    except OSError as error:
        raise StoreError(f"cannot write to {place}: {error.strerror or error}") from None
    try:
        (folder / "segments").mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise StoreError(f"cannot remove {folder}, which was made for the trials: remove it by hand")


def _claims(folder: Path, rival: Rival) -> str:
    rival.ask(f"claim {_ROUNDS}")
    mine = claim_all(folder, _ROUNDS)
    answer = _sound(rival.answer())
    theirs = frozenset() if answer == "none" else frozenset(map(int, answer.split()))
    if (both := len(mine & theirs)) or mine | theirs != frozenset(range(_ROUNDS)):
        raise StoreError(f"{both} of {_ROUNDS} names went to both, {_ROUNDS - len(mine | theirs)} to none")
    return f"{_ROUNDS} names, {len(mine)} to one and {len(theirs)} to the other"


def _links(folder: Path, _: Rival) -> str:
    linked = folder / "linked"
    with Draft(folder) as draft:
        try:
            os.link(draft.path, linked)
        except OSError as error:
            return f"none ({error.strerror}); names are claimed by empty files, which serves as well"
        if (found := linked.stat().st_nlink) != 2:
            raise StoreError(f"a file of two names says that it has {found}")
    return "names are claimed by them, and a file says how many it has"


def _locks(folder: Path, rival: Rival) -> str:
    alone = WriterLock(folder / "writer.lock")
    try:
        found = [_sound(rival.answer(kind)) for kind in ("alone", "shared")]
    finally:
        alone.release()
    shared = SharedLock(folder / "writer.lock", lambda: None)
    try:
        found += [_sound(rival.answer(kind)) for kind in ("alone", "shared")]
    finally:
        shared.release()
    if found[:3] != ["refused"] * 3:
        raise StoreError("a lock that one process holds is given to another")
    return "many at once, or one alone" if found[3] == "taken" else "one at a time, so writers take turns"


def _forces(folder: Path, _: Rival) -> str:
    write_atomically(folder / "forced", b"")
    sync_folder(folder)
    return "files and folders"


def _replaces(folder: Path, rival: Rival) -> str:
    for whole in WHOLES:
        write_atomically(folder / "replaced", whole)
    rival.ask("watch")
    for number in range(_ROUNDS // 5):
        write_atomically(folder / "replaced", WHOLES[number % 2])
    (folder / "stop").touch()
    if (bad := _sound(rival.answer())) != "0":
        raise StoreError(f"{bad} times another process found no whole file")
    return "another process finds the old file or the new one"


def _shows(folder: Path, rival: Rival) -> str:
    for number in range(_FILES):
        (folder / f"shown-{number}").write_text(f"{number}", "utf-8")
        if (answer := rival.answer(f"read shown-{number}")) != f"{number}":
            raise StoreError(f"another process found {answer!r} in place of {number}")
    return f"another process read {counted(_FILES, 'file')} as soon as they were closed"


def _reads(folder: Path, _: Rival) -> str:
    data = os.urandom(1 << 18)
    write_atomically(folder / "read", data)
    with (folder / "read").open("rb") as file:
        file.seek(4097)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            if mapped[:] != data or file.read() != data[4097:]:
                raise StoreError("other bytes were read than were written")
    return "by reading at a place, and mapped into memory"


def _names(folder: Path, _: Rival) -> str:
    (folder / _LONG).write_bytes(b"")
    if folder / _LONG not in folder.iterdir():
        raise StoreError("a name comes back as another")
    (folder / "letters").write_bytes(b"")
    same = (folder / "LETTERS").exists()
    return f"201 letters, not ASCII alone; capital letters are {'the same as small ones' if same else 'others'}"


def _room(folder: Path, _: Rival) -> str:
    free = shutil.disk_usage(folder).free
    if free < 2 * SEAL_BYTES:
        raise StoreError(f"{size(free)} are free")
    return f"{size(free)} are free"


def _sound(answer: str) -> str:
    if answer.startswith("error: "):
        raise StoreError(answer.removeprefix("error: "))
    return answer


_ASSUMPTIONS = (
    _Assumption("one of two processes gets a name", "let one process write at a time", _claims),
    _Assumption("hard links", "where locks lie, a cleaner may remove what another machine is writing", _links),
    _Assumption("locks", "stores are read and written here, but not repaired, nor cleared of leftovers", _locks),
    _Assumption("what is written can be forced to the disk", "a power loss may cost what was reported safe", _forces),
    _Assumption("a file is replaced at once", "readers may say that a store is damaged, which is not", _replaces),
    _Assumption("what was closed is seen", "what one process reports safe, others may find only later", _shows),
    _Assumption("bytes are read as written", "keep no features here", _reads),
    _Assumption("long names", "results for pictures with long names cannot be kept here", _names),
    _Assumption("room for two segments", "make room, or writers will end with a full disk", _room),
)
