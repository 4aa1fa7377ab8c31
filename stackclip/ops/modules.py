"""What is asked of modules that learn: how much that is, and what was made of it while nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch import Tensor, nn

__all__ = ["WhileUnchanged", "numbers_in"]


def numbers_in(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


class WhileUnchanged:
    """Tensors made of a module, by a key, and made again only once its parameters changed: by a step, or by loading."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._state: tuple[int, ...] = ()
        self._made: dict[Hashable, Tensor] = {}

    def get(self, make: Callable[[], Tensor], key: Hashable = None) -> Tensor:
        """What `make` gives, or gave since the last change under this key."""
        state = tuple(parameter._version for parameter in self._module.parameters())
        if state != self._state:
            self._state, self._made = state, {}
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
