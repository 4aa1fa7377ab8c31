"""Fixtures: the laboratory, the tally, and how much is done: `STACKCLIP_FAULTS=full` for all, else a sample."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .lab import Lab, build_shim
from .tally import Tally

collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []  # pipes, signals and devices are not its own
SHARED_MEMORY = Path("/dev/shm")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell the tally how many tests each file has; none where some were chosen, whose figures would be a part."""
    Tally.left.clear()
    chosen = config.getoption("keyword") or config.getoption("markexpr") not in ("", "not long")  # as in pyproject
    if not chosen and not any("::" in argument for argument in config.args):
        Tally.left.update(item.path.stem for item in items if item.path.parent == Path(__file__).parent)


def pytest_runtest_logfinish(nodeid: str, location: object) -> None:
    """Write down what a file counted as soon as its last test is through, so that a stopped run loses no other."""
    stem = Path(nodeid.partition("::")[0]).stem
    if stem in Tally.left:
        Tally.left[stem] -= 1
        if not Tally.left[stem] and Tally.current is not None:
            Tally.current.write(stem)


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether every point is tried."""
    return os.environ.get("STACKCLIP_FAULTS") == "full"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for thousands of small stores, in memory where there is such a place."""
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="stackclip-faults-", dir=parent)).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shim(folder: Path) -> Path:
    """The compiled shim."""
    try:
        return build_shim(folder)
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def lab(folder: Path, shim: Path) -> Iterator[Lab]:
    """Victims and judges."""
    lab = Lab(folder, shim)
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def bench_lab(folder: Path, shim: Path) -> Iterator[Lab]:
    """Benches and their judges."""
    (folder / "benches").mkdir()
    lab = Lab(folder / "benches", shim, "bench_victim.py")
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def whole(lab: Lab) -> Path:
    """A finished store that nobody changes."""
    root = lab.fresh()
    assert lab.run("cache", root, watched=False).code == 0
    return root


@pytest.fixture(scope="session")
def tally(full: bool) -> Tally:
    """The figures; a full run writes them down file by file."""
    tally = Tally()
    Tally.current = tally if full else None
    return tally
