"""What is made when it is first asked for, and once, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Once", "once_in"]

Made = TypeVar("Made")
_making = threading.RLock()  # one for all, which may ask for one another: what waits here is rare and long


class Once(Generic[Made]):
    """Calling it gives what `make` makes; what that raises is raised to who asked, and the next one tries again."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make: Callable[[], Made] | None = make
        self._made: list[Made] = []

    @classmethod
    def of(cls, made: Made) -> Once[Made]:
        """One that holds what was made already."""
        once = cls(lambda: made)
        once()
        return once

    @property
    def is_made(self) -> bool:
        """Whether it was made already."""
        return self._make is None

    def __call__(self) -> Made:
        """What was made, now or before."""
        with _making:
            if self._make is not None:
                self._made = [self._make()]
                self._make = None
            return self._made[0]


_KNOWN = 16  # of what is made of a batch for several, at most: maps among it are as large as the pictures


def once_in(known: dict[Hashable, Any], key: Hashable, make: Callable[[], Made]) -> Made:
    """What `make` gives, or gave somebody who asked by this key; the last few that were made are `known`.

    The key has to tell all that it depends on. Who takes it must not change it.
    """
    if key not in known:
        made = make()
        while len(known) >= _KNOWN:
            del known[next(iter(known))]
        known[key] = made
    found: Made = known[key]
    return found
