"""One stream of batches for all, cut to the batch size of each."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from stackclip.types import Features

__all__ = ["Cut"]


class Cut:
    """Batches of `size` pictures out of batches of any size, in order; the last of `total` pictures may be shorter.

    What lies whole in a batch that comes in is a view of it; what waits for more is copied.
    """

    def __init__(self, size: int, total: int) -> None:
        self.size, self.left = size, total
        self._waiting: list[Features] = []

    def batches(self, features: Features) -> Iterator[tuple[Features, bool]]:
        """The batches that are full once these pictures came, and whether each is the last one."""
        start = 0
        while start < len(features):
            room = self.size - sum(map(len, self._waiting))
            piece = features.rows(start, start + room)
            start += len(piece)
            self.left -= len(piece)
            if len(piece) < room and self.left:
                self._waiting.append(_copied(piece))
            else:
                whole, self._waiting = _joined([*self._waiting, piece]), []
                yield whole, not self.left


def _copied(features: Features) -> Features:
    return Features(features.samples, {part: tensor.clone() for part, tensor in features.parts.items()})


def _joined(pieces: list[Features]) -> Features:
    if len(pieces) == 1:
        return pieces[0]
    samples = tuple(sample for piece in pieces for sample in piece.samples)
    return Features(samples, {part: torch.cat([piece.parts[part] for piece in pieces]) for part in pieces[0].parts})
