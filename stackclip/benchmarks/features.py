"""Batches of stored features on the device that works with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stackclip.cache import Store
from stackclip.ops.maps import unit
from stackclip.types import CLS, MASK, Features, Part, Sample

__all__ = ["FeatureReader"]


@dataclass(frozen=True, slots=True)
class FeatureReader:
    """Reads parts of samples from a store onto a device as float32; masks as 0 and 1 at the tower's size."""

    store: Store
    device: torch.device

    def read(self, samples: Sequence[Sample], parts: Iterable[Part]) -> Features:
        """The features of one batch."""
        return next(self.batches(samples, parts, size=len(samples)))

    def batches(self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int) -> Iterator[Features]:
        """The features of all samples in order, `size` at a time."""
        for batch, arrays in self.store.batches(samples, parts, batch_size=size):
            yield Features(batch, {part: self._tensor(array, part) for part, array in arrays.items()})

    def class_mean(self, samples: Sequence[Sample]) -> Tensor:
        """The mean of the unit class tokens of samples: (D,)."""
        return unit(self.read(samples, {CLS})[CLS]).mean(0)

    def _tensor(self, array: np.ndarray, part: Part) -> Tensor:
        tensor = torch.from_numpy(array).to(self.device)
        return tensor if part == MASK else tensor.float()
