"""Batches of each set's own pictures, from a scan in which the pictures of all sets are mixed.

FuzzyCLIP trains the linear layers of each cluster separately. Here one scan serves all clusters: pictures wait in a
queue of their set until that has a full batch. docs/decisions/0030 has the reasons and what each way is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from stackclip.types import Features, Part, Sample

__all__ = ["SetQueues"]


class SetQueues(nn.Module):
    """A queue of pictures for each of several sets; `steps` (K,) counts the batches that each has given.

    Pictures are copied, since the buffers of a scan are used again. What waits is bounded: less than `size` pictures a
    set, and of those only `parts`. `steps` is kept with what was learned.
    """

    steps: Tensor

    def __init__(self, sets: int, size: int, parts: frozenset[Part]) -> None:
        super().__init__()
        self.size = size
        self._queues = [_Queue(size, parts) for _ in range(sets)]
        self.register_buffer("steps", torch.zeros(sets, dtype=torch.long))

    def batches(self, features: Features, sets: Tensor, *, last: bool) -> Iterator[Features]:
        """The batches that are full once these pictures came, of the sets (B,) they belong to; they hold till the next.

        With `last` no more will come in this epoch: what waits is given too, as a loader gives its last short batch.
        """
        for index, queue in enumerate(self._queues):
            rows = torch.nonzero(sets == index)[:, 0].tolist()
            while rows:
                room = self.size - len(queue.samples)
                queue.put(features, rows[:room])
                rows = rows[room:]
                if len(queue.samples) == self.size:
                    yield self._taken(index)
        if last:
            yield from (self._taken(index) for index, queue in enumerate(self._queues) if queue.samples)

    def _taken(self, index: int) -> Features:
        self.steps[index] += 1
        return self._queues[index].take()


class _Queue:
    """Pictures of one set that wait, in memory that is used again for each batch."""

    def __init__(self, size: int, parts: frozenset[Part]) -> None:
        self.size, self.parts = size, parts
        self.samples: list[Sample] = []
        self._kept: dict[Part, Tensor] = {}  # (size, ...)

    def put(self, features: Features, rows: Sequence[int]) -> None:
        """Copy some pictures of a batch behind those that wait."""
        start = len(self.samples)
        for part, tensor in features.parts.items():
            if part in self.parts:
                if part not in self._kept:
                    self._kept[part] = tensor.new_empty(self.size, *tensor.shape[1:])
                self._kept[part][start : start + len(rows)] = tensor[list(rows)]
        self.samples += [features.samples[row] for row in rows]

    def take(self) -> Features:
        """The pictures that wait, which do so no longer."""
        samples, self.samples = tuple(self.samples), []
        return Features(samples, {part: tensor[: len(samples)] for part, tensor in self._kept.items()})
