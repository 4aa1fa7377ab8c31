"""Each test finds the registry as it was."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _registry_as_it_was(registry_as_it_was: None) -> None: ...
