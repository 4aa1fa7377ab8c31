"""A place that is not as a store assumes is found out, and nothing of the trials stays there."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.cache import fitness as module
from stackclip.cache.fitness import Trial, fitness
from stackclip.errors import StoreError
from stackclip.ops.drafts import Draft

fcntl = pytest.importorskip("fcntl", reason="the locks of Windows are others")
Patch = pytest.MonkeyPatch


def refuse(number: int) -> Callable[..., None]:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


def both_get_it(patch: Patch) -> None:
    patch.setattr(Draft, "claims", lambda self, path: True)


def locks_that_lie(patch: Patch) -> None:
    patch.setattr(fcntl, "flock", lambda *_: None)


def no_locks(patch: Patch) -> None:
    patch.setattr(fcntl, "flock", refuse(errno.ENOLCK))


def a_disk_that_fails(patch: Patch) -> None:
    patch.setattr(os, "fsync", refuse(errno.EIO))


def files_that_grow(patch: Patch) -> None:
    def write(path: Path, data: bytes) -> None:
        with path.open("wb", buffering=0) as file:
            for half in (data[:999], data[999:]):
                file.write(half)
                time.sleep(0.005)

    patch.setattr(module, "write_atomically", write)


def other_bytes(patch: Patch) -> None:
    patch.setattr(module.mmap, "mmap", lambda *_, **__: memoryview(b"other"))


def late_sight(patch: Patch) -> None:
    patch.setattr(Path, "write_text", lambda self, *_: self.write_bytes(b""))


def other_names(patch: Patch) -> None:
    patch.setattr(Path, "iterdir", lambda self: iter(()))


def a_full_disk(patch: Patch) -> None:
    patch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(10**6))


UNFIT: dict[str, tuple[Callable[[Patch], None], str]] = {
    "one of two processes gets a name": (both_get_it, r"\d+ of 500 names went to both, 0 to none"),
    "locks": (locks_that_lie, "a lock that one process holds is given to another"),
    "what is written can be forced to the disk": (a_disk_that_fails, "Input/output error"),
    "a file is replaced at once": (files_that_grow, r"\d+ times another process found no whole file"),
    "what was closed is seen": (late_sight, "another process found '' in place of 0"),
    "bytes are read as written": (other_bytes, "other bytes were read than were written"),
    "long names": (other_names, "a name comes back as another"),
    "room for two segments": (a_full_disk, "1.0 MB are free"),
}


def tried(place: Path) -> dict[str, Trial]:
    return {trial.assumption: trial for trial in fitness(place)}


def test_this_disk_is_fit_and_nothing_stays_there(tmp_path: Path) -> None:
    found = tried(tmp_path)
    assert {name for name, trial in found.items() if not trial.holds} <= {"room for two segments"}
    assert {*UNFIT, "hard links"} == set(found)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("assumption", UNFIT)
def test_what_does_not_hold_is_said_and_the_rest_is_tried(tmp_path: Path, monkeypatch: Patch, assumption: str) -> None:
    spoil, seen = UNFIT[assumption]
    spoil(monkeypatch)
    found = tried(tmp_path)
    monkeypatch.undo()
    assert set(found) == {*UNFIT, "hard links"}
    assert not found[assumption].holds
    assert re.search(seen, found[assumption].seen)
    assert list(tmp_path.iterdir()) == []


def test_a_place_without_locks_or_links_is_told_from_one_where_they_lie(tmp_path: Path, monkeypatch: Patch) -> None:
    no_locks(monkeypatch)
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    found = tried(tmp_path)
    assert "No locks available" in found["locks"].seen
    assert found["one of two processes gets a name"].holds
    assert found["hard links"].holds
    assert "names are claimed by empty files" in found["hard links"].seen


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"^cannot write to .*file: Not a directory$"):
        next(fitness(tmp_path / "file"))


def test_a_process_that_dies_of_it_is_a_finding(tmp_path: Path, monkeypatch: Patch) -> None:
    trials = fitness(tmp_path)
    next(trials)
    monkeypatch.setattr(module.Rival, "ask", lambda self, _: self._process.kill())
    found = {trial.assumption: trial for trial in trials}
    assert found["locks"].seen == "another process died of it"
    assert found["long names"].holds
