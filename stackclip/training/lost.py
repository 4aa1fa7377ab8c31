"""What the steps of an epoch lost, by term."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from stackclip.errors import NonFiniteScores
from stackclip.methods import Terms

__all__ = ["Lost"]


@dataclass(eq=False)
class Lost:
    """The mean loss of an epoch by term, as far as its steps were read; those on a device are waited for when read."""

    totals: dict[str, float] = field(default_factory=dict)
    _unread: list[tuple[Terms, int]] = field(default_factory=list)

    def add(self, terms: Terms, pictures: int) -> bool:
        """Keep the terms of a step on so many pictures; whether these are read without waiting for a device."""
        self._unread.append((terms, pictures))
        return not any(isinstance(value, Tensor) for value in terms.values())

    def read(self, epoch: int, every: int) -> Iterator[dict[str, float]]:
        """The terms of each step that was not read yet, in an epoch of `every` picture that there is.

        Raises NonFiniteScores for what is no number.
        """
        unread, self._unread = self._unread, []
        for given, pictures in unread:
            terms = {name: float(value) for name, value in given.items()}
            for name, value in terms.items():
                if not math.isfinite(value):
                    raise NonFiniteScores(f"{name} is {value} in epoch {epoch} of training")
                self.totals[name] = self.totals.get(name, 0.0) + value * pictures / every
            yield terms
