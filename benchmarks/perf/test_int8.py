"""Features kept as int8: the room they take, how far tokens turn, and what undoing the codes costs beside reading."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import Store, decode, extract
from stackclip.cache.quantize import decode_tokens, encode_tokens
from stackclip.clip import load_tower
from stackclip.data import open_dataset
from stackclip.types import CLS, GOOD, NORMAL, Sample, TowerSpec

LARGE = TowerSpec("ViT-L-14-336", image_size=518, grid=37, depth=24, width=1024, joint=768, layers=(6, 12, 18, 24))
PICTURES = 12
REAL = Path(os.environ.get("STACKCLIP_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"


def turned(tokens: np.ndarray, values: np.ndarray) -> np.ndarray:
    """1 - cos of each token."""
    tokens, values = tokens.astype(np.float64), values.astype(np.float64)
    return 1 - (tokens * values).sum(-1) / np.linalg.norm(tokens, axis=-1) / np.linalg.norm(values, axis=-1)


def copied(store: Store, samples: list[Sample], root: Path) -> Store:
    """The same features in a store of int8."""
    coded = Store.create(root, store.fingerprint, spec=store.spec, recorded={}, dtype="int8")
    with coded.writer() as writer:
        for sample in samples:
            arrays = store.batch([sample], store.parts)
            writer.add(coded.source(sample), {part: array[0] for part, array in arrays.items()})
    return coded


@pytest.mark.parametrize("name", ["stackclip-tiny", "random-vit-8"])
def test_tokens_of_our_towers(name: str, tmp_path: Path, figure: Any) -> None:
    tower = load_tower(name)
    names = ["synthetic[part=combinations,per_category=2,train_good=0]", *map(str, sorted(REAL.glob("*-mini")))]
    every = [sample for name in names for sample in open_dataset(name, generated=tmp_path).samples]
    samples = every[:: max(1, len(every) // 100)]
    exact = Store.create(tmp_path, tower.fingerprint, spec=tower.spec, recorded={})
    assert not extract(exact, tower, samples, {CLS, *tower.spec.taps}).failed
    coded = copied(exact, samples, tmp_path)
    angles = [turned(exact.read([s], part), coded.read([s], part)) for s in samples for part in tower.spec.taps]
    assert np.array_equal(exact.read(samples, CLS), coded.read(samples, CLS))
    note = f"{len(samples)} pictures, {'generated and real' if REAL.is_dir() else 'generated'}"
    figure(
        f"int8, {name}: size of the store, of float16", coded.size_bytes / exact.size_bytes, goal="<= .51", note=note
    )
    figure(f"int8, {name}: 1 - cos of the worst token", float(np.max(angles)), goal="<= 1e-4", unit="", note=note)
    figure(f"int8, {name}: 1 - cos, mean", float(np.mean(angles)), goal="<= 1e-4", unit="", note=note)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store, list[Sample]]:
    """A float16 and an int8 store of the same pictures, in the sizes of ViT-L-14-336 at 518 pixels."""
    root = tmp_path_factory.mktemp("large")
    random, samples = np.random.default_rng(0), []
    exact = Store.create(root, {"model": LARGE.name}, spec=LARGE, recorded={})
    with exact.writer() as writer:
        for index in range(PICTURES):
            path = root / f"{index}.png"
            Image.new("L", (8, 8), index).save(path)
            sample = Sample(path.name, "drawn", "noise", "test", path, None, NORMAL, GOOD)
            shape = (LARGE.grid**2, LARGE.width)
            parts = {tap: random.standard_normal(shape, np.float32).astype(np.float16) for tap in LARGE.taps}
            writer.add(exact.source(sample), {CLS: np.ones(LARGE.joint, np.float16), **parts})
            samples.append(sample)
    return exact, copied(exact, samples, root), samples


def test_size_in_the_sizes_of_a_large_tower(large: tuple[Store, Store, list[Sample]], figure: Any) -> None:
    exact, coded, _ = large
    figure("int8, ViT-L/14 at 518: size of the store, of float16", coded.size_bytes / exact.size_bytes, goal="<= .51")


def test_reading_against_float16(large: tuple[Store, Store, list[Sample]], race: Any, figure: Any) -> None:
    exact, coded, samples = large
    order = [samples[index] for index in np.random.default_rng(1).permutation(len(samples))]
    tap = LARGE.taps[0]
    assert turned(exact.read(order[:1], tap), coded.read(order[:1], tap)).max() <= 1e-4

    def read(store: Store) -> None:
        for _ in store.batches(order, LARGE.taps, batch_size=2, dtype=np.float32):
            pass

    outcome = race(lambda: read(coded), lambda: read(exact))
    note = f"{PICTURES} pictures of 11.2 MB, warm"
    figure("int8: batches as float32 at random, of the rate of float16", outcome.ratio, note=note)
    if (more := outcome.ours - outcome.peer) > 0:
        even = (exact.size_bytes - coded.size_bytes) / more / 1e9
        figure("int8: as fast as float16 where float16 is read at", even, unit="GB/s", note=note)


def test_decoding_against_reading(large: tuple[Store, Store, list[Sample]], race: Any, figure: Any) -> None:
    exact, coded, samples = large
    tap = LARGE.taps[0]
    tokens = exact.read(samples[:1], tap)[0]
    codes = encode_tokens(tokens)
    values, raw = np.empty(tokens.shape, np.float32), np.empty(codes.shape, np.int8)
    decode_tokens(codes, values)
    assert np.array_equal(values, coded.batch(samples[:1], [tap], dtype=np.float32)[tap][0])
    with opened(coded) as descriptor:
        peers = {
            "read": lambda: os.preadv(descriptor, [raw], 4096),
            "widen": lambda: decode(tokens, values),
            "encode": lambda: encode_tokens(tokens),
        }
        outcome = race(lambda: decode_tokens(codes, values), peers, rounds=21)
    rate = codes.nbytes / outcome.ours / 1e9
    note = "1369 x 1024 tokens into float32, one thread"
    figure("int8: decoding", rate, unit="GB/s of codes", note=note)
    figure("int8: decoding, in reads of the same bytes from the page cache", 1 / outcome.against("read"), note=note)
    figure("int8: decoding, in conversions of float16 to float32", 1 / outcome.against("widen"), note=note)
    figure("int8: encoding, in decodings", outcome.against("encode"), note=note)


@contextmanager
def opened(store: Store) -> Iterator[int]:
    """A descriptor of the first segment."""
    descriptor = os.open(store.folder / "segments" / "000001.h5", os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
