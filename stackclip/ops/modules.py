"""What modules that learn have in common: how much they learn, what was made of them, dropout from a seed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Made = TypeVar("Made")

__all__ = ["SeededDropout", "WhileUnchanged", "numbers_in"]


def numbers_in(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


class SeededDropout(nn.Module):
    """Drops a `share` of numbers while it trains and scales up the others: nn.Dropout with draws of one's own.

    The generator is on the CPU, so that a training has the same draws on every device.
    """

    def __init__(self, share: float, draws: torch.Generator) -> None:
        super().__init__()
        self.share, self.draws = share, draws

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape."""
        if not (self.training and self.share):
            return values
        kept = torch.empty(values.shape).bernoulli_(1 - self.share, generator=self.draws)
        return values * (kept.to(values) / (1 - self.share))


class WhileUnchanged:
    """What is made of a module, by a key, and made again only once its parameters changed: by a step, or by loading."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._state: tuple[int, ...] = ()
        self._made: dict[Hashable, Any] = {}

    def get(self, make: Callable[[], Made], key: Hashable = None) -> Made:
        """What `make` gives, or gave since the last change under this key."""
        state = tuple(parameter._version for parameter in self._module.parameters())
        if state != self._state:
            self._state, self._made = state, {}
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made
