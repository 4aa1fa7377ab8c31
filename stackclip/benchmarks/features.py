"""Batches of stored features on the device that works with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stackclip.benchmarks.residency import Kept, transfer_dtype
from stackclip.cache import Store, in_batches, is_mask, prefetch
from stackclip.ops.maps import unit
from stackclip.types import CLS, Features, Part, Sample

__all__ = ["FeatureReader"]


@dataclass(frozen=True, slots=True)
class FeatureReader:
    """Reads parts of samples from a store onto a device as float32; masks as 0 and 1 at the tower's size.

    What `kept` keeps is read once.
    """

    store: Store
    device: torch.device
    kept: Kept | None = None

    def read(self, samples: Sequence[Sample], parts: Iterable[Part]) -> Features:
        """The features of one batch."""
        batch, wanted = tuple(samples), tuple(parts)
        if self.kept is not None and self.kept.serves(batch, wanted):
            return Features(batch, self.kept.batch(batch, wanted))
        arrays = self.store.batch(batch, wanted, dtype=transfer_dtype(self.store, self.device))
        tensors = {part: torch.from_numpy(array).to(self.device) for part, array in arrays.items()}
        return Features(batch, {part: each if is_mask(part) else each.float() for part, each in tensors.items()})

    def batches(
        self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int, threads: int = 2
    ) -> Iterator[Features]:
        """The features of all samples in order, `size` at a time; `threads` batches are made ahead."""
        wanted = tuple(parts)
        return prefetch(lambda batch: self.read(batch, wanted), in_batches(samples, size), threads=threads)

    def class_mean(self, samples: Sequence[Sample]) -> Tensor:
        """The mean of the unit class tokens of samples: (D,)."""
        return unit(self.read(samples, {CLS})[CLS]).mean(0)
