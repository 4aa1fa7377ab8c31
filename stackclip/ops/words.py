"""Numbers in sentences: one picture is, two pictures are."""

from __future__ import annotations

__all__ = ["agreed", "counted"]

_OF_ONE = {"are": "is", "were": "was", "have": "has", "lack": "lacks"}


def counted(number: int, noun: str) -> str:
    """The number and its noun: `1 picture`, `2 pictures`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def agreed(verb: str, number: int) -> str:
    """The form of `are`, `were`, `have` or `lack` that goes with the number."""
    return _OF_ONE[verb] if number == 1 else verb
