"""Fixtures: the laboratory, the tally, and how much is done: `STACKCLIP_FAULTS=full` for all, else a sample."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .lab import Lab, build_shim
from .tally import Tally

collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []  # pipes, signals and devices are not its own
SHARED_MEMORY = Path("/dev/shm")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell the tally whether all tests are there, so that a run of some of them does not write the page."""
    files = {item.path for item in items if item.path.parent == Path(__file__).parent}
    chosen = config.getoption("keyword") or config.getoption("markexpr")
    Tally.complete = not chosen and files == set(Path(__file__).parent.glob("test_*.py"))


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
def tally(full: bool, request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The figures; a full run of all tests writes them down at its end."""
    tally, start = Tally(), time.monotonic()
    yield tally
    if full and Tally.complete:
        tally.write(time.monotonic() - start)
