"""What a tracker is told, and what it has to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from stackclip.ops.words import legible

__all__ = ["Notice", "Tracker", "Value", "plain_name"]

LONGEST = 60  # letters of a name


@dataclass(frozen=True, slots=True)
class Value:
    """A number by the name of its curve; `step` counts from 0."""

    name: str
    number: float
    step: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """Numbers of one run: of a method that was trained once, with one seed. `run` is its key, `title` for people.

    `facts` are those of the run, the same in each of its notices.
    """

    run: str
    title: str
    facts: Mapping[str, str]
    values: tuple[Value, ...]


class Tracker(Protocol):
    """Something that keeps numbers of runs; whatever it raises costs nothing but what it was told.

    `destination` says where it keeps them: what was told there once is not told again.
    """

    destination: str

    def log(self, notice: Notice) -> None:
        """Keep the numbers, for good when the call returns; those of a run that is known already are added to it."""

    def close(self) -> None:
        """Let go of what is open."""


def plain_name(text: str) -> str:
    """A name of letters, digits, spaces, dots, hyphens and underscores, another one for every text."""
    plain = re.sub(r"[^\w .-]", "_", legible(text)).strip(" .")[:LONGEST]
    return (
        plain
        if plain and plain == text
        else f"{plain or '_'}-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    )
