"""Batches of stored features, read one ahead of the one in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
        return Features(tuple(samples), {part: self._tensor(samples, part) for part in sorted(parts)})

    def batches(self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int) -> Iterator[Features]:
        """The features of all samples in order, `size` at a time; the next batch is read while one is in use."""
        parts = frozenset(parts)
        with ThreadPoolExecutor(1) as reader:
            waiting = None
            for start in range(0, len(samples), size):
                ahead = reader.submit(self.read, samples[start : start + size], parts)
                if waiting is not None:
                    yield waiting.result()
                waiting = ahead
            if waiting is not None:
                yield waiting.result()

    def class_mean(self, samples: Sequence[Sample]) -> Tensor:
        """The mean of the unit class tokens of samples: (D,)."""
        return unit(self.read(samples, {CLS})[CLS]).mean(0)

    def _tensor(self, samples: Sequence[Sample], part: Part) -> Tensor:
        array = self.store.masks(samples) if part == MASK else self.store.read(samples, part)
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        return tensor if part == MASK else tensor.float()
