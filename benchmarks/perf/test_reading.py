"""Reading batches at random from a store, against raw reads of the same bytes and a DataLoader over h5py.

The store holds four taps of ViT-L/14 at 518 pixels, 11.2 MB a picture in float16; all of it is in the page cache.

Run: pytest benchmarks/perf/test_reading.py -s
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from stackclip.cache import Store
from stackclip.training.residency import Kept
from stackclip.training.sources import FeatureReader
from stackclip.types import GOOD, NORMAL, Part, Sample, TowerSpec

PICTURES, BATCH, THREADS = 64, 8, 2
MANY, FEW = 41, 7  # rounds, of scans that take less and more than a tenth of a second
SPEC = TowerSpec(name="ViT-L-14", image_size=518, grid=37, depth=24, width=1024, joint=768, layers=(6, 12, 18, 24))
TAPS, ROW = SPEC.taps, (SPEC.grid**2, SPEC.width)
FINGERPRINT = {"model": SPEC.name, "weights": "0" * 64, "semantics": 1}
CPU = torch.device("cpu")

Location = tuple[Path, str, int]
"""Where a row is for h5py: file, data set, index."""


@dataclass(frozen=True, slots=True)
class Written:
    """A store, its samples in a random order, and where h5py finds the rows of each."""

    store: Store
    order: tuple[Sample, ...]
    locations: Mapping[str, Mapping[Part, Location]]


def write(folder: Path) -> Written:
    draw = np.random.default_rng(0)
    tokens = draw.standard_normal((len(TAPS), *ROW), dtype=np.float32).astype(np.float16)
    store = Store.create(folder / "features", FINGERPRINT, spec=SPEC, recorded={})
    samples = []
    with store.writer() as writer:
        for index in range(PICTURES):
            image = folder / f"{index:03d}.png"
            image.write_bytes(f"picture {index}".encode())  # only its digest counts here
            samples.append(Sample(image.name, "drawn", "tokens", "test", image, None, NORMAL, GOOD))
            taps = np.roll(tokens, 7 * index, axis=1)
            writer.add(store.source(samples[-1]), dict(zip(TAPS, taps, strict=True)))
    order = tuple(samples[index] for index in draw.permutation(PICTURES))
    locations: dict[str, dict[Part, Location]] = {}
    for path in sorted((store.folder / "segments").glob("*.h5")):
        with h5py.File(path, "r") as file:
            keys = [key.decode() for key in file["records/key"]]
            for part in TAPS:
                for row, record in enumerate(file[f"{part}/record"][:]):
                    locations.setdefault(keys[record], {})[part] = (path, f"{part}/features", row)
    return Written(store, order, locations)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(tmp_path_factory.mktemp("reading"))


@dataclass(frozen=True)
class Raw:
    """The limit: as many threads, each reading whole batches with preadv into one array that it uses again."""

    batches: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]  # per batch and picture: file descriptor and offset
    into: tuple[np.ndarray, ...]

    def __call__(self) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(self._read, range(THREADS)))

    def _read(self, thread: int) -> None:
        into = self.into[thread]
        for batch in self.batches[thread::THREADS]:
            for picture, places in zip(into, batch, strict=False):
                for row, (descriptor, offset) in zip(picture, places, strict=True):
                    assert os.preadv(descriptor, [row], offset) == row.nbytes


@pytest.fixture(scope="module")
def raw(written: Written) -> Iterator[Raw]:
    descriptors: dict[Path, int] = {}
    starts: dict[tuple[Path, str], int] = {}
    for location in written.locations.values():
        for path, name, _ in location.values():
            if path not in descriptors:
                descriptors[path] = os.open(path, os.O_RDONLY)
            if (path, name) not in starts:
                with h5py.File(path, "r") as file:
                    starts[path, name] = file[name].id.get_offset()
    size = int(np.prod(ROW)) * 2
    places = [
        tuple((descriptors[path], starts[path, name] + row * size) for path, name, row in at.values())
        for at in (written.locations[sample.key] for sample in written.order)
    ]
    batches = tuple(tuple(places[start : start + BATCH]) for start in range(0, PICTURES, BATCH))
    yield Raw(batches, tuple(np.ones((BATCH, len(TAPS), *ROW), np.float16) for _ in range(THREADS)))
    for descriptor in descriptors.values():
        os.close(descriptor)


class OverH5py(Dataset[list[torch.Tensor]]):
    """What is usually written: files opened once a worker, `dataset[i]` for each item."""

    def __init__(self, locations: Sequence[Mapping[Part, Location]]) -> None:
        self.locations = locations
        self._files: dict[Path, h5py.File] = {}

    def __len__(self) -> int:
        return len(self.locations)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        return [torch.from_numpy(self._open(path)[name][row]) for path, name, row in self.locations[index].values()]

    def _open(self, path: Path) -> h5py.File:
        if path not in self._files:
            self._files[path] = h5py.File(path, "r")
        return self._files[path]


def loader(written: Written, workers: int) -> DataLoader[list[torch.Tensor]]:
    items = OverH5py([written.locations[sample.key] for sample in written.order])
    return DataLoader(items, batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)


def scan(batches: Any) -> None:
    for _ in batches:
        pass


def test_batches_at_random(written: Written, raw: Raw, race: Callable[..., Any], figure: Callable[..., None]) -> None:
    loaders = {f"DataLoader, {workers} workers": loader(written, workers) for workers in (0, 2)}

    def ours() -> Iterator[Any]:
        return written.store.batches(written.order, TAPS, batch_size=BATCH, threads=THREADS)

    _, first = next(ours())
    raw()
    for batch in (next(iter(each)) for each in loaders.values()):
        for part, tokens in zip(TAPS, batch, strict=True):
            assert np.array_equal(first[part], tokens.numpy())
    last = [features for _, features in ours()][-THREADS:]
    for features, read in zip(last, raw.into, strict=True):
        assert all(np.array_equal(features[part], read[:, tap]) for tap, part in enumerate(TAPS))

    outcome = race(lambda: scan(ours()), raw, rounds=MANY)
    note = f"{PICTURES} pictures of 11.2 MB, batches of {BATCH}, {THREADS} threads, every row checked before"
    figure("batches at random, of raw preadv", outcome.ratio, goal=">= .9", note=note)
    figure("batches at random", PICTURES * 0.0112 / outcome.ours, unit="GB/s")
    peers = {"preadv": raw, **{name: partial(scan, each) for name, each in loaders.items()}}
    outcome = race(lambda: scan(ours()), peers, rounds=FEW)
    limit, best = (min(map(outcome.against, loaders)) / share for share in (outcome.against("preadv"), 1))
    note = f"float16, the better of 0 and 2 workers; preadv itself {limit:.2g}"
    figure("batches at random, against a DataLoader over h5py", best, goal=">= 4", note=note)


def test_the_first_scan_of_a_process(
    written: Written, raw: Raw, race: Callable[..., Any], figure: Callable[..., None]
) -> None:
    def first() -> None:
        scan(Store.open(written.store.folder).batches(written.order, TAPS, batch_size=BATCH, threads=THREADS))

    outcome = race(first, raw, rounds=MANY)
    note = "opening, the xxh3 of every row, memory never used before"
    figure("first scan, every byte checked, of raw preadv", outcome.ratio, note=note)


def test_batches_as_the_methods_get_them(
    written: Written, race: Callable[..., Any], figure: Callable[..., None]
) -> None:
    loaders = {f"DataLoader, {workers} workers": loader(written, workers) for workers in (0, 2)}
    reader = FeatureReader(written.store, CPU)
    resident = replace(reader, kept=Kept(written.store, written.order, TAPS, device=CPU, resident="ram"))

    def ours(of: FeatureReader) -> Iterator[Any]:
        return of.batches(written.order, TAPS, size=BATCH, threads=THREADS)

    def usual(batches: Iterable[Sequence[torch.Tensor]]) -> None:
        for batch in batches:
            for tokens in batch:
                tokens.float()

    for read, kept, *others in zip(ours(reader), ours(resident), *loaders.values(), strict=True):
        for part, *tokens in zip(TAPS, *others, strict=True):
            assert all(torch.equal(read[part], each.float()) for each in tokens)
            assert torch.equal(read[part], kept[part])
    peers = {"kept": lambda: scan(ours(resident)), **{name: partial(usual, each) for name, each in loaders.items()}}
    outcome = race(lambda: scan(ours(reader)), peers, rounds=FEW)
    best = min(map(outcome.against, loaders))
    note = "float32, as methods get them; the better of 0 and 2 workers"
    figure("prefetched batches, against a DataLoader over h5py and .float()", best, goal=">= 4", note=note)
    figure("float32 batches, kept in memory, against read anew", 1 / outcome.against("kept"))
