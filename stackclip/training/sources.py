"""Batches of features on the device that works with them: stored ones, and what the live tower makes of pictures."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stackclip.cache import Store, in_batches, is_mask, prefetch
from stackclip.clip import Tower
from stackclip.clip.views import by_view, moved, prepared
from stackclip.data import read_picture
from stackclip.errors import MissingParts
from stackclip.ops.files import file_hash
from stackclip.ops.maps import unit
from stackclip.training.residency import Kept, transfer_dtype
from stackclip.types import CLS, PICTURE, Features, Part, Sample, is_live

__all__ = ["FeatureReader", "FeatureSource", "LiveSource"]


class FeatureSource(Protocol):
    """What gives the features of samples in order, `size` at a time; a batch holds until the next one comes.

    Who does not take all batches closes the generator: threads may be reading ahead.
    """

    def batches(self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int) -> Generator[Features]:
        """The features of all samples."""


@dataclass(frozen=True, slots=True)
class LiveSource:
    """What the tower says of pictures now: they are read from their files, and nothing is kept."""

    tower: Tower

    def prepare(self, samples: Sequence[Sample], views: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Pictures (B, 3, H, W) in some views as the tower reads them; any number of threads may call it at once.

        Raises PictureError for a picture that cannot be read.
        """
        found: dict[str, list[NDArray[np.float32]]] = {view: [] for view in views}
        for sample in samples:
            image = read_picture(sample.image, self.tower.picture_range)
            digest = file_hash(sample.image) if any(found) else ""  # by which views are drawn
            for view, pictures in found.items():
                pictures.append(prepared(self.tower.prepare, image, view, digest))
        return {view: np.stack(pictures) for view, pictures in found.items()}

    def encode(self, prepared: Mapping[str, NDArray[np.float32]], parts: Iterable[Part]) -> dict[Part, Tensor]:
        """Parts of prepared pictures, float32 on the tower's device; `picture` is (B, 3, H, W), as the tower reads it.

        One thread at a time: the tower switches settings of the process.
        """
        found: dict[Part, Tensor] = {}
        for view, asked in by_view(parts).items():
            pictures = torch.from_numpy(prepared[view]).to(self.tower.device)
            found |= {part: pictures for plain, part in asked.items() if plain == PICTURE}
            encoded = sorted(plain for plain in asked if plain != PICTURE)
            if encoded:
                found |= {asked[plain]: each for plain, each in self.tower.encode(pictures, encoded).items()}
        return found


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What threads have read of a batch: stored parts, and pictures in their views for the live ones."""

    samples: tuple[Sample, ...]
    stored: Mapping[Part, Tensor]
    prepared: Mapping[str, NDArray[np.float32]]


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
        wanted = tuple(parts)
        return self._complete(self._load(tuple(samples), wanted), wanted)

    def batches(
        self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int, threads: int = 2
    ) -> Generator[Features]:
        """The features of all samples in order, `size` at a time; `threads` batches are read ahead.

        A live tower runs in the caller's thread.
        """
        wanted = tuple(parts)
        load = prefetch(lambda batch: self._load(batch, wanted), in_batches(samples, size), threads=threads)
        with closing(load) as loaded:
            for batch in loaded:
                yield self._complete(batch, wanted)

    def class_mean(self, samples: Sequence[Sample]) -> Tensor:
        """The mean of the unit class tokens of samples: (D,)."""
        return unit(self.read(samples, {CLS})[CLS]).mean(0)

    def _is_live(self, part: Part) -> bool:
        return (is_live(part) or self.all_live) and not is_mask(part)

    def _load(self, samples: tuple[Sample, ...], parts: Sequence[Part]) -> _Loaded:
        live = [part for part in parts if self._is_live(part)]
        if live and self.live is None:
            raise MissingParts(f"{', '.join(map(str, live))}: there is no live tower here")
        stored = [part for part in parts if not self._is_live(part)]
        pictures = self.live.prepare(samples, {part.view for part in live}) if self.live and live else {}
        return _Loaded(samples, self._in_views(samples, stored) if stored or not live else {}, pictures)

    def _complete(self, loaded: _Loaded, parts: Sequence[Part]) -> Features:
        if not loaded.prepared or self.live is None:
            return Features(loaded.samples, loaded.stored)
        live = self.live.encode(loaded.prepared, [part for part in parts if self._is_live(part)])
        found = {**loaded.stored, **live}
        return Features(loaded.samples, {part: found[part] for part in parts})

    def _in_views(self, samples: tuple[Sample, ...], parts: Sequence[Part]) -> Mapping[Part, Tensor]:
        """Stored parts; masks, of which a store has no views, are moved as their pictures are."""
        views = {part: replace(part, view="") for part in parts if is_mask(part) and part.view}
        found = dict(self._stored(samples, list(dict.fromkeys(views.get(part, part) for part in parts))))
        for part, plain in views.items():
            digests = [self.store.source(sample).digest for sample in samples]
            masks = zip(found[plain].cpu().numpy(), digests, strict=True)
            pixels = np.stack([moved(mask, part.view, digest) for mask, digest in masks])
            found[part] = torch.from_numpy(pixels).to(self.device)
        return {part: found[part] for part in parts}

    def _stored(self, samples: tuple[Sample, ...], parts: Sequence[Part]) -> Mapping[Part, Tensor]:
        if self.kept is not None and self.kept.serves(samples, parts):
            return self.kept.batch(samples, parts)
        arrays = self.store.batch(samples, parts, dtype=transfer_dtype(self.store, self.device))
        tensors = {part: torch.from_numpy(array).to(self.device) for part, array in arrays.items()}
        return {part: each if is_mask(part) else each.float() for part, each in tensors.items()}
