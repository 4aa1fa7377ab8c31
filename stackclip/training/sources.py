"""Batches of features on the device that works with them: stored ones, and what the live tower makes of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stackclip.cache import Store, in_batches, is_mask, prefetch
from stackclip.clip import Tower
from stackclip.clip.views import by_view, seen
from stackclip.data import read_picture
from stackclip.errors import MissingParts
from stackclip.ops.maps import unit
from stackclip.training.residency import Kept, transfer_dtype
from stackclip.types import CLS, Features, Part, Sample, is_live

__all__ = ["FeatureReader", "FeatureSource", "LiveSource"]


class FeatureSource(Protocol):
    """What gives the features of samples in order, `size` at a time; a batch holds until the next one comes."""

    def batches(self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int) -> Iterator[Features]:
        """The features of all samples."""


@dataclass(frozen=True, slots=True)
class LiveSource:
    """What the tower says of pictures now: they are read from their files, and nothing is kept."""

    tower: Tower

    def read(self, samples: Sequence[Sample], parts: Iterable[Part]) -> dict[Part, Tensor]:
        """Parts of the samples, float32 on the tower's device; `picture` is (B, 3, S, S), as the tower reads it.

        Raises PictureError for a picture that cannot be read.
        """
        found: dict[Part, Tensor] = {}
        images = [read_picture(sample.image, self.tower.picture_range) for sample in samples]
        for view, asked in by_view(parts).items():
            prepared = np.stack([self.tower.prepare(seen(image, view)) for image in images])
            pictures = torch.from_numpy(prepared).to(self.tower.device)
            found |= {part: pictures for plain, part in asked.items() if is_live(plain)}
            encoded = sorted(plain for plain in asked if not is_live(plain))
            if encoded:
                found |= {asked[plain]: each for plain, each in self.tower.encode(pictures, encoded).items()}
        return found


@dataclass(frozen=True, slots=True)
class FeatureReader:
    """Reads parts of samples from a store onto a device as float32; masks as 0 and 1 at the tower's size.

    What `kept` keeps is read once. `picture`, which no store holds, comes from the `live` source; with `all_live` every
    part does but masks.
    """

    store: Store
    device: torch.device
    kept: Kept | None = None
    live: LiveSource | None = None
    all_live: bool = False

    def read(self, samples: Sequence[Sample], parts: Iterable[Part]) -> Features:
        """The features of one batch."""
        batch, wanted = tuple(samples), tuple(parts)
        live = [part for part in wanted if is_live(part) or (self.all_live and not is_mask(part))]
        if not live:
            return Features(batch, self._stored(batch, wanted))
        if self.live is None:
            raise MissingParts(f"{', '.join(map(str, live))}: there is no live tower here")
        stored = [part for part in wanted if part not in live]
        found = {**(self._stored(batch, stored) if stored else {}), **self.live.read(batch, live)}
        return Features(batch, {part: found[part] for part in wanted})

    def batches(
        self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int, threads: int = 2
    ) -> Iterator[Features]:
        """The features of all samples in order, `size` at a time; `threads` batches are made ahead."""
        wanted = tuple(parts)
        return prefetch(lambda batch: self.read(batch, wanted), in_batches(samples, size), threads=threads)

    def class_mean(self, samples: Sequence[Sample]) -> Tensor:
        """The mean of the unit class tokens of samples: (D,)."""
        return unit(self.read(samples, {CLS})[CLS]).mean(0)

    def _stored(self, samples: tuple[Sample, ...], parts: Sequence[Part]) -> Mapping[Part, Tensor]:
        if self.kept is not None and self.kept.serves(samples, parts):
            return self.kept.batch(samples, parts)
        arrays = self.store.batch(samples, parts, dtype=transfer_dtype(self.store, self.device))
        tensors = {part: torch.from_numpy(array).to(self.device) for part, array in arrays.items()}
        return {part: each if is_mask(part) else each.float() for part, each in tensors.items()}
