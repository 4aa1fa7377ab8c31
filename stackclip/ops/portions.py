"""Pictures of a batch in portions that stay in a processor's cache from one pass to the next."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

__all__ = ["PORTION", "pieces", "portions"]

PORTION = 1 << 20  # numbers: 4 MB of float32


def portions(batch: Tensor, numbers: int) -> Iterator[slice]:
    """Slices that cover a batch (B, ...) whose work makes `numbers` numbers a picture: PORTION of them at once.

    A portion has at least one picture. A GPU has no such cache and is slowed by small kernels: there, all is one.
    """
    return pieces(len(batch), numbers) if batch.device.type == "cpu" else iter([slice(0, len(batch))][: len(batch)])


def pieces(count: int, numbers: int) -> Iterator[slice]:
    """Slices that cover so many things whose work makes `numbers` numbers each: PORTION of them at once, or one."""
    size = max(1, PORTION // max(1, numbers))
    for start in range(0, count, size):
        yield slice(start, start + size)
