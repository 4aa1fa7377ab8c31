"""What is made when it is first asked for, and once, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Once"]

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
