"""A store on a medium that cannot be written to, or on a file system without locks, is read as any other."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from .lab import FAIL, FAIL_FROM, Lab, log_of, operations
from .tally import Tally

READING = {"look", "list", "read", "close"}


@pytest.fixture
def root(lab: Lab, whole: Path) -> Path:
    """A finished store that may be changed."""
    return Path(shutil.copytree(whole, lab.fresh(), dirs_exist_ok=True))


def test_a_reader_asks_for_nothing_but_reading(lab: Lab, root: Path) -> None:
    assert lab.run("read", root).code == 0
    assert {operation.kind for operation in operations(log_of(root))} <= READING
    assert lab.run("cache", root).code == 0  # a run that has nothing to do, and says that all is safe
    assert {operation.kind for operation in operations(log_of(root))} <= READING | {"fsync", "note"}


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


def test_a_file_system_without_locks_refuses_a_repair_in_one_line(lab: Lab) -> None:
    root = lab.fresh()
    assert lab.run("cache-without-locks", root).code == 0
    refused = lab.run("repair-without-locks", root)
    assert "No locks available" in refused.messages
    assert "copy the folder to another disk" in refused.messages
    assert refused.in_order


def test_a_read_only_mount_is_read(lab: Lab, tally: Tally, root: Path) -> None:
    fault = "a read-only mount"
    tally.of(fault, "a reader and a writer that is refused")
    with mounted(root, lab.fresh()) as seen:
        reading = lab.run("read", seen, watched=False)
        again = lab.run("cache", seen, watched=False)  # nothing to do
        (root / next(root.iterdir()) / "segments" / "000001.json").unlink()
        writing = lab.run("cache", seen, watched=False)
    for ending in (reading, again):
        tally.counted(fault, "", str(ending), messages=(ending.code, ending.messages) != (0, ""))
    tally.counted(fault, "", str(writing), messages=not writing.in_order or writing.code != 1)
    assert "Read-only file system" in writing.messages
    tally.require(fault)


@contextmanager
def mounted(folder: Path, seen: Path) -> Iterator[Path]:
    """The folder under another name, where nothing can be written; skips where that needs other rights."""
    if not sys.platform.startswith("linux") or os.geteuid():
        pytest.skip("mounting needs Linux and root")
    done = subprocess.run(["mount", "--bind", str(folder), str(seen)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(seen)], check=True)
        yield seen
    finally:
        subprocess.run(["umount", str(seen)], check=True)


@contextmanager
def forbidden(folder: Path, seen: Path) -> Iterator[Path]:
    """The folder without any right to write to it; skips for root, who needs none."""
    if os.name == "nt" or not os.geteuid():
        pytest.skip("root may write anywhere")
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        yield folder
    finally:
        for path in folders:
            path.chmod(0o755)


TRAINING, TESTED = (
    f"synthetic[part={part},categories=2,per_category=2,train_good=1,size=56]" for part in ("training", "shapes")
)
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")
NOT_KEPT = "rows, heads and text features are not kept"


@pytest.fixture
def run(stackclip: Callable[..., Result]) -> Callable[..., Result]:
    """Runs a command that succeeds."""

    def run(workspace: Path, *words: str) -> Result:
        result = stackclip(workspace, *words, *TOWER)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.mark.parametrize("protected", [mounted, forbidden])
def test_bench_and_predict_work_where_the_cache_cannot_be_written_to(
    protected: Callable[[Path, Path], AbstractContextManager[Path]],
    lab: Lab,
    tmp_path: Path,
    tally: Tally,
    run: Callable[..., Result],
) -> None:
    fault = "bench and predict on a cache that cannot be written to"
    tally.of(fault, "a command")
    work, seen, out, table = (tmp_path / name for name in ("work", "seen", "out", "table.csv"))
    seen.mkdir()
    with protected(seen, lab.fresh()):
        work.mkdir()  # or all of this is skipped
    bench = ("bench", "--train-on", TRAINING, "--test-on", TESTED, "--methods", "precise,fuzzy", "--epochs", "1")
    predict = ("predict", str(lab.pictures), "--object", "plate", "--train-on", TRAINING, "--methods", "fuzzy")
    predict += ("--epochs", "1", "-o", str(out))
    run(work, "cache-features", "--dataset", str(lab.pictures), "--dataset", TRAINING, "--dataset", TESTED)
    with protected(work, seen) as there:
        measured = run(there, *bench, "--seeds", "0,1", "-o", str(table))
        predicted = run(there, *predict)
    for result in (measured, predicted):
        said = [line for line in result.stderr.splitlines() if "cannot be written to" in line]
        wrong = len(said) != 1 or NOT_KEPT not in said[0] or "Traceback" in result.output
        tally.counted(fault, "", result.output, messages=wrong)
    assert len(table.read_text().splitlines()) > 2
    pictures = {path.name for path in lab.pictures.iterdir() if not path.stem.endswith("_mask")}
    assert {path.name for path in out.glob("fuzzy/*.png")} == pictures
    assert sorted(path.name for path in (work / "cache").iterdir()) == ["data", "features", "towers"]
    tally.require(fault)
