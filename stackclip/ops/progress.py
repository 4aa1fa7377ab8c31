"""Who is told how far a call is."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Listener", "silent"]


class Listener(Protocol):
    """Told of a stage of the work how many of how many are done, from the thread that does it."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """Nobody is listening."""
