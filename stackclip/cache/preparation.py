"""Reading pictures and masks for the tower, in threads, some of them ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.shapes import is_mask, mask_rule
from stackclip.cache.sources import Source
from stackclip.cache.store import Store
from stackclip.clip.views import by_view, prepared
from stackclip.data.images import read_picture
from stackclip.data.masks import read_mask
from stackclip.errors import PictureError
from stackclip.ops.regions import Runs, label_regions
from stackclip.types import CLS, Part, Sample, TowerSpec

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = ["Encoder", "Prepared", "prepared_ahead"]


class Encoder(Protocol):
    """What extraction asks of a tower. One that has a method `build` is told so before its time counts."""

    @property
    def spec(self) -> TowerSpec:
        """Its sizes."""

    @property
    def picture_range(self) -> str:
        """What is black and white in pictures of more than 8 bits, as `read_picture` takes it."""

    def prepare(self, image: Image.Image, /) -> NDArray[np.float32]:
        """Turn a picture into the tower's input (3, H, W); called from several threads."""

    def encode(self, pictures: Tensor, parts: Iterable[Part], /) -> Mapping[Part, Tensor]:
        """The parts of a batch (B, 3, H, W)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sample that is ready for the tower: its picture in each view (none for a mask alone), the runs of its mask.

    A picture whose mask cannot be used is encoded all the same: what needs no mask can work with it.
    """

    source: Source | None
    pictures: Mapping[str, NDArray[np.float32]]
    parts: frozenset[Part]
    mask: Source | None
    runs: Mapping[Part, Runs]
    broken_mask: PictureError | None = None


def prepared_ahead(
    store: Store, tower: Encoder, lacks: Sequence[tuple[Sample, frozenset[Part]]], *, workers: int, ahead: int
) -> Generator[Prepared | PictureError]:
    """Prepare the samples in threads, in order, a bounded number of them ahead: fewer where each has many views."""
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="stackclip-prepare") as pool:
        waiting: deque[Future[Prepared]] = deque()
        try:
            for sample, missing in lacks:
                waiting.append(pool.submit(_prepare, store, tower, sample, missing))
                views = len({part.view for part in missing})
                if len(waiting) > max(workers, (ahead + 2 * workers) // views):
                    yield _outcome(waiting.popleft())
            while waiting:
                yield _outcome(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


def _outcome(future: Future[Prepared]) -> Prepared | PictureError:
    try:
        return future.result()
    except PictureError as error:
        return error


def _prepare(store: Store, tower: Encoder, sample: Sample, missing: frozenset[Part]) -> Prepared:
    """Read what the missing parts are made from; raises PictureError."""
    masks = sorted(part for part in missing if is_mask(part))
    dense = missing - frozenset(masks)
    source = mask = broken = None
    pictures, runs = dict[str, NDArray[np.float32]](), dict[Part, Runs]()
    if dense:
        source = store.source(sample)
        dense -= store.held(source)
        if dense:
            picture = read_picture(sample.image, getattr(tower, "picture_range", "auto"))
            pictures = {view: prepared(tower.prepare, picture, view, source.digest) for view in by_view(dense)}
            _require_unchanged(store, sample, CLS, source)
    if masks:
        try:
            mask = store.source(sample, masks[0])
            for part in masks:
                runs[part] = label_regions(read_mask(sample, tower.spec.image_size, rule=mask_rule(part)))
            _require_unchanged(store, sample, masks[0], mask)
        except PictureError as error:
            if not dense:
                raise
            mask, runs, broken = None, {}, error
    return Prepared(source, pictures, dense, mask, runs, broken)


def _require_unchanged(store: Store, sample: Sample, part: Part, source: Source) -> None:
    if store.source(sample, part).digest != source.digest:
        raise PictureError(source.path, "was changed while it was read; run again")
