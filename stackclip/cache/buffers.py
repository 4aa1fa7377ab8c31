"""Memory for batches that is used again: touching fresh pages costs more than reading features into them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Buffers"]

_SMALL = 1 << 20  # below this the allocator has warm memory by itself
_WASTE = 1.25  # memory is lent for arrays that need most of it


class Buffers:
    """Gives arrays, and takes their memory back when nobody holds them any more.

    An array, each view of it and each tensor over it hold the memory, so what is held never changes. At most `limit`
    bytes wait to be used again. Threads may share one.
    """

    def __init__(self, limit: int = 1 << 30) -> None:
        self.limit = limit
        self._idle: dict[int, NDArray[np.uint8]] = {}

    @property
    def idle(self) -> int:
        """The bytes that wait to be used again."""
        return sum(memory.nbytes for memory in list(self._idle.values()))

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array whose values are whatever was there before."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size < _SMALL:
            return np.empty(shape, dtype)
        return np.asarray(_Lease(self._memory(size), size, self._take_back)).view(dtype).reshape(shape)

    def _memory(self, size: int) -> NDArray[np.uint8]:
        for key, memory in reversed(list(self._idle.items())):  # the last that was used is the warmest
            if size <= memory.nbytes <= _WASTE * size and self._idle.pop(key, None) is not None:
                return memory
        return np.empty(size, np.uint8)

    def _take_back(self, memory: NDArray[np.uint8]) -> None:
        """Called by whichever thread lets go of a lease, at any moment: each step is safe by itself, without a lock."""
        self._idle[id(memory)] = memory
        for oldest in list(self._idle):
            if self.idle <= self.limit:
                break
            self._idle.pop(oldest, None)


class _Lease:
    """What an array over lent memory holds on to; its end is the end of the loan."""

    def __init__(self, memory: NDArray[np.uint8], size: int, give_back: Callable[[NDArray[np.uint8]], None]) -> None:
        self.__array_interface__ = memory[:size].__array_interface__
        self._memory, self._give_back = memory, give_back

    def __del__(self) -> None:
        self._give_back(self._memory)
