"""The loops that count scores in bins, as machine code where numba is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from stackclip.metrics.cells import SHIFT_BITS, WITHIN

__all__ = ["compiled"]


@cache
def compiled() -> tuple[Callable[..., None], Callable[..., None]] | None:
    """The two loops over scores as machine code, several times faster, where numba is installed."""
    try:
        numba: Any = import_module("numba")
    except ImportError:
        return None
    machine_code: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(nogil=True)
    u4 = np.uint32  # numba widens what it adds up to 64 bits unless told

    @machine_code
    def place(key: Any, entries: Any) -> Any:
        entry = u4(entries[key >> u4(WITHIN)])
        inner = u4(key & u4((1 << WITHIN) - 1)) >> u4(entry & u4((1 << SHIFT_BITS) - 1))
        return u4((entry >> u4(SHIFT_BITS)) + inner)

    @machine_code
    def count(keys: Any, entries: Any, counts: Any) -> None:
        quarter = keys.size // 4  # one of each in turn: neighbours fall into one bin, whose count would be awaited
        for key in range(quarter):
            counts[place(keys[key], entries)] += u4(1)
            counts[place(keys[key + quarter], entries)] += u4(1)
            counts[place(keys[key + 2 * quarter], entries)] += u4(1)
            counts[place(keys[key + 3 * quarter], entries)] += u4(1)
        for key in range(4 * quarter, keys.size):
            counts[place(keys[key], entries)] += u4(1)

    @machine_code
    def weigh(keys: Any, starts: Any, lengths: Any, weights: Any, entries: Any, counts: Any, sums: Any) -> None:
        for run in range(starts.size):
            for pixel in range(starts[run], starts[run] + lengths[run]):
                at = place(keys[pixel], entries)
                counts[at] += 1
                sums[at] += weights[run]

    return count, weigh
