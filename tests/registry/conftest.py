"""Every test of the registry leaves it as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from stackclip.registry import SHELVES, forget, use_workspace


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    modules = set(sys.modules)
    forget(SHELVES)
    yield
    use_workspace(None)
    forget(SHELVES)
    for name in set(sys.modules) - modules:
        if name.startswith(("stackclip_workspace_", "stackclip_plugin_")):
            del sys.modules[name]
