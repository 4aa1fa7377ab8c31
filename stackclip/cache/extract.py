"""Encoding what a store lacks: reading, the tower and writing at the same time, each picture once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.check import Progress
from stackclip.cache.claims import Claims
from stackclip.cache.folders import make_durable
from stackclip.cache.preparation import Encoder, Prepared, prepared_ahead
from stackclip.cache.shapes import FeatureDtype, is_mask, part_bytes
from stackclip.cache.sources import Source, has_source, role_of
from stackclip.cache.store import Store
from stackclip.cache.transfer import Coming, is_awaited, sent
from stackclip.cache.writer import Writer
from stackclip.clip.views import by_view
from stackclip.errors import PictureError, UnreadableStore
from stackclip.types import Part, Sample, TowerSpec

__all__ = ["ExtractOptions", "Extracted", "Manner", "Planned", "extract", "plan"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What an extraction would do: how many pictures it reads, the parts it makes, the bytes it adds (estimated)."""

    pictures: int
    parts: tuple[Part, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """What an extraction did: pictures encoded, there before, failed; bytes written, the store's folder.

    `seconds` are those of encoding and sealing, without what comes before the first picture.
    """

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


class ExtractOptions(TypedDict, total=False):
    """The fields of `Manner` as keyword arguments."""

    batch_size: int
    workers: int
    progress: Progress | None
    strict: bool
    patience: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How an extraction goes about it, whatever it encodes.

    Pictures are read and prepared in `workers` threads ahead of the tower, which is given `batch_size` of them at once;
    each view of a picture counts as one.
    `progress` is told how many samples are done. With `strict` the first picture that cannot be used ends it. One
    who repairs the store is waited for as many seconds as `patience` says.
    """

    batch_size: int = 8
    workers: int = 2
    progress: Progress | None = None
    strict: bool = False
    patience: float = 0.0


def extract(
    store: Store,
    tower: Encoder,
    samples: Sequence[Sample],
    parts: Iterable[Part],
    **options: Unpack[ExtractOptions],
) -> Extracted:
    """Encode the parts that the store lacks for these samples, and nothing else.

    The options are the fields of `Manner`: keyword arguments, as a caller gives one or two, and one noun inside, as all
    travel together. The tower runs in the caller's thread, sealing in another. A picture that cannot be used is in the
    report's `failed` and the rest goes on. Whatever ends it, Ctrl-C too, what was encoded is sealed, and the next call
    goes on from there. Raises StoreLocked, StoreError where the store cannot be written to, UnreadableStore where a
    segment that cannot be read at this moment may hold what is wanted, and PictureError if `strict`.
    """
    manner, seconds = Manner(**options), 0.0
    lacking = partial(_lacking, store, samples, frozenset(parts))
    run = None
    if lacks := lacking():
        _require_readable(store)
        with store.writer(patience=manner.patience) as writer:
            run = _Run(tower, writer, manner.batch_size)
            # Where one was waited for, others may have brought some.
            lacks = lacking() if manner.patience else lacks
            if not all(is_mask(part) for _, missing in lacks for part in missing):
                getattr(tower, "build", lambda: None)()  # before time counts, and progress has a rate
            start = time.monotonic()
            _encode(store, lacks, run, manner)
        seconds = time.monotonic() - start
    else:
        make_durable(store.folder)
    store.keep_readings()
    return _report(run, samples, store.folder, seconds)


def _encode(store: Store, lacks: Sequence[tuple[Sample, frozenset[Part]]], run: _Run, manner: Manner) -> None:
    """Take all that is lacking through a run."""
    # The threads end here, whatever ends the block: a second Ctrl-C is then no error in a forgotten generator.
    with closing(prepared_ahead(store, run.tower, lacks, workers=manner.workers, ahead=manner.batch_size)) as prepared:
        try:
            for done, each in enumerate(prepared, start=1):
                run.take(each)
                _require_strict(run, manner)
                if manner.progress is not None:
                    manner.progress(done, len(lacks))
            run.finish()
        finally:
            run.land()
        _require_strict(run, manner)


def _lacking(
    store: Store, samples: Sequence[Sample], parts: frozenset[Part]
) -> tuple[tuple[Sample, frozenset[Part]], ...]:
    """What lacks of files as they are now."""
    store.look_again()
    return store.lacking(samples, parts)


def _report(run: _Run | None, samples: Sequence[Sample], folder: Path, seconds: float) -> Extracted:
    """What was done, if anything was there to do."""
    if run is None:
        return Extracted(0, len(samples), (), 0, seconds, folder)
    return Extracted(
        encoded=run.encoded,
        already_there=len(samples) - run.encoded - (len(run.failed) - run.broken_masks),
        failed=tuple(run.failed),
        bytes=run.written,
        seconds=seconds,
        folder=folder,
    )


def _require_strict(run: _Run, manner: Manner) -> None:
    if manner.strict and run.failed:
        raise run.failed[0]


class _Run:
    """The batches of one extraction: prepared pictures that lack the same parts go through the tower together."""

    def __init__(self, tower: Encoder, writer: Writer, batch_size: int) -> None:
        self.encoded = self.broken_masks = 0
        self.failed: list[PictureError] = []
        self.tower, self._writer, self._batch_size = tower, writer, batch_size
        self._waiting: dict[frozenset[Part], list[Prepared]] = {}
        self._on_its_way: tuple[list[Prepared], list[tuple[list[tuple[int, str]], Coming]]] | None = None
        self._claims = Claims(writer.claims.held)

    def take(self, prepared: Prepared | PictureError) -> None:
        """Put one sample into its batch, and encode the batch when it is full; or note why it cannot be used."""
        if isinstance(prepared, PictureError):
            self.failed.append(prepared)
            return
        if prepared.broken_mask is not None:
            self.failed.append(prepared.broken_mask)
            self.broken_masks += 1
        missing = self._claim(prepared.source, prepared.parts)
        masks = self._claim(prepared.mask, prepared.runs)
        prepared = replace(prepared, runs={part: prepared.runs[part] for part in masks})
        if missing:
            self._waiting.setdefault(missing, []).append(prepared)
            if len(self._waiting[missing]) * len(prepared.pictures) >= self._batch_size:
                self._encode(missing)
        elif masks:
            self._keep(prepared)

    @property
    def written(self) -> int:
        """The bytes that were added to the store, once its writer is done."""
        return self._writer.bytes_written

    def finish(self) -> None:
        """Encode the batches that did not fill."""
        for missing in tuple(self._waiting):
            self._encode(missing)

    def land(self) -> None:
        """Keep the batch that is on its way, if there is one."""
        batch, self._on_its_way = self._on_its_way, None
        if batch is not None:
            self._keep_batch(*batch)

    def _encode(self, parts: frozenset[Part]) -> None:
        """Start a batch, and keep the one before while the device is at it; where nothing is awaited, keep it now."""
        batch, coming = self._waiting.pop(parts), list[tuple[list[tuple[int, str]], Coming]]()
        for asked, views in _views_alike(parts).items():
            pairs = [(row, view) for row in range(len(batch)) for view in views]
            for start in range(0, len(pairs), self._batch_size):
                some = pairs[start : start + self._batch_size]
                coming.append((some, sent(self.tower, [batch[row].pictures[view] for row, view in some], asked)))
        self.land()
        self._on_its_way = batch, coming
        if not is_awaited(self.tower):
            self.land()

    def _keep_batch(self, batch: Sequence[Prepared], coming: Iterable[tuple[list[tuple[int, str]], Coming]]) -> None:
        halves: list[dict[Part, NDArray[np.float16]]] = [{} for _ in batch]
        for some, arrived in coming:
            for plain, each in arrived().items():
                for (row, view), half in zip(some, each, strict=True):
                    halves[row][replace(plain, view=view)] = half
        for prepared, own in zip(batch, halves, strict=True):
            try:
                self._keep(prepared, own)
            except PictureError as error:
                self.failed.append(error)

    def _keep(self, prepared: Prepared, features: Mapping[Part, NDArray[np.float16]] | None = None) -> None:
        if prepared.source is not None and features:
            self._writer.add(prepared.source, features)
        if prepared.mask is not None:
            self._writer.add(prepared.mask, prepared.runs)
        self.encoded += 1

    def _claim(self, source: Source | None, parts: Iterable[Part]) -> frozenset[Part]:
        """Those of the parts that no sample with the same content brought before."""
        return frozenset() if source is None else self._claims.take(source.digest, parts)


def _views_alike(parts: Iterable[Part]) -> dict[tuple[Part, ...], list[str]]:
    """The views in which the same is asked of the tower, by what that is: they go through it together."""
    found: dict[tuple[Part, ...], list[str]] = {}
    for view, asked in by_view(parts).items():
        found.setdefault(tuple(sorted(asked)), []).append(view)
    return found


def _require_readable(store: Store) -> None:
    for problem in store.problems:
        if problem.unreadable:
            raise UnreadableStore(f"{problem}; until then nothing is encoded, lest it be done twice")


def _possible(sample: Sample, parts: frozenset[Part]) -> frozenset[Part]:
    return frozenset(part for part in parts if has_source(sample, role_of(part)))
