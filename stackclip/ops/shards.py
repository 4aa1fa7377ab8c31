"""Every n-th of a list, for one of n who share it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from stackclip.errors import UsageError

__all__ = ["Shard"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shard:
    """Those items of a list whose number, modulo `count`, is `index`, counted from 0.

    The shards of a list have nothing in common, and together all of it, whoever takes them and whenever.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that is typed `i/n`, counted from 1. Raises UsageError for anything else."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip()) if isinstance(text, str) else None
        index, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= index <= count:
            raise UsageError(f"shard {text!r}; wanted i/n, as 1/4 for the first of four, up to 4/4")
        return cls(index - 1, count)

    def of(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """The items of this shard, in their order."""
        return tuple(items[self.index :: self.count])

    def halves(self) -> tuple[Shard, Shard]:
        """Two shards that are this one together."""
        return Shard(self.index, 2 * self.count), Shard(self.index + self.count, 2 * self.count)

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"
