"""A store on a medium that cannot be written to, or on a file system without locks, is read as any other."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .lab import FAIL, FAIL_FROM, Lab, log_of, operations
from .tally import Tally

READING = {"look", "list", "read", "close"}


@pytest.fixture
def root(lab: Lab) -> Path:
    """A finished store."""
    root = lab.fresh()
    assert lab.run("cache", root, watched=False).code == 0
    return root


def test_a_reader_asks_for_nothing_but_reading(lab: Lab, root: Path) -> None:
    assert lab.run("read", root).code == 0
    assert {operation.kind for operation in operations(log_of(root))} <= READING
    assert lab.run("cache", root).code == 0  # a run that has nothing to do
    assert {operation.kind for operation in operations(log_of(root))} <= READING


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
def test_a_read_that_fails_is_one_line_or_an_answer(lab: Lab, tally: Tally, full: bool, root: Path, error: int) -> None:
    fault = f"reading, {errno.errorcode[error]}"
    tally.of(fault, "an operation of a reader")
    assert lab.run("read", root).code == 0
    count = len(list(operations(log_of(root))))
    for at in range(0, count, 3 if full else count // 5):
        ending = lab.run("read", root, action=FAIL, at=at, error=error)
        tally.counted(fault, "", f"{at}: {ending}", messages=not ending.in_order, signals=ending.signal != 0)
    tally.require(fault)


def test_what_may_not_be_written_is_read(lab: Lab, tally: Tally, root: Path) -> None:
    fault = "a read-only store"
    tally.of(fault, "a reader and a writer that is refused")
    reading = lab.run("read", root, action=FAIL_FROM, at=0, error=errno.EROFS)
    assert (reading.code, reading.messages) == (0, "")
    (folder,) = root.iterdir()
    shutil.rmtree(folder / "segments")
    (folder / "segments").mkdir()
    writing = lab.run("cache", root, action=FAIL_FROM, at=0, error=errno.EROFS)
    assert "Read-only file system" in writing.messages
    tally.counted(fault, "", str(writing), messages=not writing.in_order or writing.code != 1)
    tally.require(fault)


def test_a_file_system_without_locks_refuses_a_writer_in_one_line(lab: Lab) -> None:
    root = lab.fresh()
    assert lab.run("cache", root).code == 0
    lock = [operation.kind for operation in operations(log_of(root))].index("lock")
    refused = lab.run("cache", lab.fresh(), action=FAIL, at=lock, error=errno.ENOLCK)
    assert "No locks available" in refused.messages
    assert refused.in_order


def test_a_read_only_mount_is_read(lab: Lab, tally: Tally, root: Path) -> None:
    if not sys.platform.startswith("linux") or os.geteuid():
        pytest.skip("mounting needs Linux and root")
    fault, seen = "a read-only mount", lab.fresh()
    tally.of(fault, "a reader and a writer that is refused")
    done = subprocess.run(["mount", "--bind", str(root), str(seen)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(seen)], check=True)
        reading = lab.run("read", seen, watched=False)
        (root / next(root.iterdir()) / "segments" / "000001.json").unlink()
        writing = lab.run("cache", seen, watched=False)
    finally:
        subprocess.run(["umount", str(seen)], check=True)
    tally.counted(fault, "", str(reading), messages=(reading.code, reading.messages) != (0, ""))
    tally.counted(fault, "", str(writing), messages=not writing.in_order or writing.code != 1)
    assert "Read-only file system" in writing.messages
    tally.require(fault)
