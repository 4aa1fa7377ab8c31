"""A few of many things, where looking at all of them would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["evenly"]

Item = TypeVar("Item")


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Up to `most` of the items, evenly spread, the first among them."""
    return list(items[:: max(1, -(-len(items) // most))])
