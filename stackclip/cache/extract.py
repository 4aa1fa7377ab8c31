"""Encoding what a store lacks: reading, the tower and writing at the same time, each picture once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.check import Progress
from stackclip.cache.claims import Claims
from stackclip.cache.shapes import FeatureDtype, is_mask, mask_rule, part_bytes
from stackclip.cache.sources import Source, has_source, role_of
from stackclip.cache.store import Store
from stackclip.cache.writer import Writer
from stackclip.clip.views import by_view, seen
from stackclip.data.images import read_picture
from stackclip.data.masks import read_mask
from stackclip.errors import PictureError, UnreadableStore
from stackclip.ops.regions import Runs, label_regions
from stackclip.types import CLS, Part, Sample, TowerSpec

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = ["Encoder", "Extracted", "Planned", "extract", "plan"]


class Encoder(Protocol):
    """What extraction asks of a tower."""

    @property
    def spec(self) -> TowerSpec:
        """Its sizes."""

    @property
    def picture_range(self) -> str:
        """What is black and white in pictures of more than 8 bits, as `read_picture` takes it."""

    def prepare(self, image: Image.Image, /) -> NDArray[np.float32]:
        """Turn a picture into the tower's input (3, S, S); called from several threads."""

    def encode(self, pictures: Tensor, parts: Iterable[Part], /) -> Mapping[Part, Tensor]:
        """The parts of a batch (B, 3, S, S)."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What an extraction would do: how many pictures it reads, the parts it makes, the bytes it adds (estimated)."""

    pictures: int
    parts: tuple[Part, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """What an extraction did: pictures encoded, there before, failed; bytes written, seconds, the store's folder."""

    encoded: int
    already_there: int
    failed: tuple[PictureError, ...]
    bytes: int
    seconds: float
    folder: Path


def plan(
    store: Store | None,
    samples: Sequence[Sample],
    parts: Iterable[Part],
    spec: TowerSpec,
    *,
    dtype: FeatureDtype = "float16",
) -> Planned:
    """Say what `extract` would encode, without doing it; `store` is None where there is none yet."""
    wanted = frozenset(parts)
    if store is not None:
        lacks = store.lacking(samples, wanted)
    else:
        lacks = tuple((sample, needs) for sample in samples if (needs := _possible(sample, wanted)))
    return Planned(
        pictures=len(lacks),
        parts=tuple(sorted(frozenset[Part]().union(*(missing for _, missing in lacks)))),
        bytes=sum(part_bytes(part, spec, dtype=dtype) for _, missing in lacks for part in missing),
    )


def extract(
    store: Store,
    tower: Encoder,
    samples: Sequence[Sample],
    parts: Iterable[Part],
    *,
    batch_size: int = 8,
    workers: int = 2,
    progress: Progress | None = None,
    strict: bool = False,
    patience: float = 0.0,
) -> Extracted:
    """Encode the parts that the store lacks for these samples, and nothing else.

    Pictures are read and prepared in `workers` threads ahead of the tower, which runs in the caller's thread, and
    sealed in another. A picture that cannot be used is in the report's `failed` and the rest goes on; with `strict`
    the first one ends the extraction. Another writer is waited for as many seconds as `patience` says. Whatever ends
    it, Ctrl-C too, what was encoded is sealed, and the next call goes on from there. Raises StoreLocked, StoreError
    where the store cannot be written to, UnreadableStore where a segment that cannot be read at this moment may hold
    what is wanted, and PictureError if `strict`.
    """
    start = time.monotonic()
    lacks = store.lacking(samples, parts)
    if lacks:
        _require_readable(store)
    failed: list[PictureError] = []
    encoded = written = broken_masks = 0
    if lacks:
        with ExitStack() as stack:
            writer = stack.enter_context(store.writer(patience=patience))
            lacks = store.lacking(samples, parts) if patience else lacks  # the other writer may have brought some
            # The threads end here, whatever ends the block: a second Ctrl-C is then no error in a forgotten generator.
            prepared_ahead = closing(_prepared(store, tower, lacks, workers=workers, ahead=batch_size))
            all_prepared = stack.enter_context(prepared_ahead)
            run = _Run(tower, writer, batch_size)
            for done, prepared in enumerate(all_prepared, start=1):
                if isinstance(prepared, PictureError):
                    run.failed.append(prepared)
                else:
                    run.take(prepared)
                    broken_masks += prepared.broken_mask is not None
                if strict and run.failed:
                    raise run.failed[0]
                if progress is not None:
                    progress(done, len(lacks))
            run.finish()
            if strict and run.failed:
                raise run.failed[0]
        failed, encoded, written = run.failed, run.encoded, writer.bytes_written
    else:
        store.make_durable()
    store.keep_readings()
    return Extracted(
        encoded=encoded,
        already_there=len(samples) - encoded - (len(failed) - broken_masks),
        failed=tuple(failed),
        bytes=written,
        seconds=time.monotonic() - start,
        folder=store.folder,
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A sample that is ready for the tower: its picture in each view (none for a mask alone), the runs of its mask.

    A picture whose mask cannot be used is encoded all the same: what needs no mask can work with it.
    """

    source: Source | None
    pictures: Mapping[str, NDArray[np.float32]]
    parts: frozenset[Part]
    mask: Source | None
    runs: Mapping[Part, Runs]
    broken_mask: PictureError | None = None


class _Run:
    """The batches of one extraction: prepared pictures that lack the same parts go through the tower together."""

    def __init__(self, tower: Encoder, writer: Writer, batch_size: int) -> None:
        self.encoded = 0
        self.failed: list[PictureError] = []
        self._tower, self._writer, self._batch_size = tower, writer, batch_size
        self._waiting: dict[frozenset[Part], list[_Prepared]] = {}
        self._claims = Claims(writer.claims.holds)

    def take(self, prepared: _Prepared) -> None:
        """Put one sample into its batch, and encode the batch when it is full."""
        if prepared.broken_mask is not None:
            self.failed.append(prepared.broken_mask)
        missing = self._claim(prepared.source, prepared.parts)
        masks = self._claim(prepared.mask, prepared.runs)
        prepared = replace(prepared, runs={part: prepared.runs[part] for part in masks})
        if missing:
            self._waiting.setdefault(missing, []).append(prepared)
            if len(self._waiting[missing]) == self._batch_size:
                self._encode(missing)
        elif masks:
            self._keep(prepared)

    def finish(self) -> None:
        """Encode the batches that did not fill."""
        for missing in tuple(self._waiting):
            self._encode(missing)

    def _encode(self, parts: frozenset[Part]) -> None:
        import torch

        batch = self._waiting.pop(parts)
        halves = dict[Part, NDArray[np.float16]]()
        for view, asked in by_view(parts).items():
            pictures = np.stack([prepared.pictures[view] for prepared in batch])
            given = self._tower.encode(torch.from_numpy(pictures), sorted(asked))
            halves |= {asked[part]: each.to(torch.float16).cpu().numpy() for part, each in given.items()}
        for row, prepared in enumerate(batch):
            try:
                self._keep(prepared, {part: half[row] for part, half in halves.items()})
            except PictureError as error:
                self.failed.append(error)

    def _keep(self, prepared: _Prepared, features: Mapping[Part, NDArray[np.float16]] | None = None) -> None:
        if prepared.source is not None and features:
            self._writer.add(prepared.source, features)
        if prepared.mask is not None:
            self._writer.add(prepared.mask, prepared.runs)
        self.encoded += 1

    def _claim(self, source: Source | None, parts: Iterable[Part]) -> frozenset[Part]:
        """Those of the parts that no sample with the same content brought before."""
        return frozenset() if source is None else self._claims.take(source.digest, parts)


def _prepared(
    store: Store, tower: Encoder, lacks: Sequence[tuple[Sample, frozenset[Part]]], *, workers: int, ahead: int
) -> Generator[_Prepared | PictureError]:
    """Prepare the samples in threads, in order, a bounded number of them ahead."""
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="stackclip-prepare") as pool:
        waiting: deque[Future[_Prepared]] = deque()
        try:
            for sample, missing in lacks:
                waiting.append(pool.submit(_prepare, store, tower, sample, missing))
                if len(waiting) > ahead + 2 * workers:
                    yield _outcome(waiting.popleft())
            while waiting:
                yield _outcome(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


def _outcome(future: Future[_Prepared]) -> _Prepared | PictureError:
    try:
        return future.result()
    except PictureError as error:
        return error


def _prepare(store: Store, tower: Encoder, sample: Sample, missing: frozenset[Part]) -> _Prepared:
    """Read what the missing parts are made from; raises PictureError."""
    masks = sorted(part for part in missing if is_mask(part))
    dense = missing - frozenset(masks)
    source = mask = broken = None
    pictures, runs = dict[str, NDArray[np.float32]](), dict[Part, Runs]()
    if dense:
        source = store.source(sample)
        dense = frozenset(part for part in dense if not store.holds(source, part))
        if dense:
            picture = read_picture(sample.image, getattr(tower, "picture_range", "auto"))
            pictures = {view: tower.prepare(seen(picture, view)) for view in by_view(dense)}
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
    return _Prepared(source, pictures, dense, mask, runs, broken)


def _require_unchanged(store: Store, sample: Sample, part: Part, source: Source) -> None:
    if store.source(sample, part).digest != source.digest:
        raise PictureError(source.path, "was changed while it was read; run again")


def _require_readable(store: Store) -> None:
    for problem in store.problems:
        if problem.unreadable:
            raise UnreadableStore(f"{problem}; until then nothing is encoded, lest it be done twice")


def _possible(sample: Sample, parts: frozenset[Part]) -> frozenset[Part]:
    return frozenset(part for part in parts if has_source(sample, role_of(part)))
