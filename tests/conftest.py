"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: no spinning threads on a busy machine
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the repository (`STACKCLIP_SHARED` names another place)."""
    folder = Path(os.environ.get("STACKCLIP_SHARED", ROOT.parent / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no reference material at {folder}: set STACKCLIP_SHARED to run this test")
    return folder


@pytest.fixture(autouse=True)
def _denormals_count() -> Iterator[None]:
    """Undo what a command does to this thread: numbers below 1e-38 are zero while a tower is in use."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
