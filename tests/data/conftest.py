"""Trees of empty files, where only names are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def plant() -> Callable[..., Path]:
    """`plant(root, *names)`: an empty file of each name below a folder, which is returned."""

    def plant(root: Path, *names: str) -> Path:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        return root

    return plant
