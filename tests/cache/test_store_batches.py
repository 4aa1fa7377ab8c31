"""Batches are the same whoever reads them and however, and no damaged byte comes with them."""

from __future__ import annotations

import os
import pickle
import threading

import numpy as np
import pytest

from stackclip.cache import Store, buffers, decode, extract
from stackclip.errors import CorruptStore, MissingParts
from stackclip.types import CLS, MASK, Part, Sample, patch

WANTED = (CLS, patch(1), patch(2), MASK)


@pytest.fixture(autouse=True)
def _lend_small_arrays_too(monkeypatch) -> None:
    monkeypatch.setattr(buffers, "_SMALL", 1)


@pytest.fixture(params=["one segment", "two segments"])
def store(request, store, samples, tower) -> Store:
    if request.param == "two segments":
        extract(store, tower, samples[1:4], {CLS, patch(2)})
    extract(store, tower, samples, set(WANTED))
    return store


def damage(store: Store) -> None:
    """Flip a bit of the last token of the last part of the last segment."""
    segment = max((store.folder / "segments").glob("*.h5"))
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)


def scan(store: Store, samples: list[Sample], **words: object) -> dict[Part, np.ndarray]:
    batches = [features for _, features in store.batches(samples, WANTED, batch_size=2, **words)]
    return {part: np.concatenate([features[part] for features in batches]) for part in WANTED}


def same(one: dict[Part, np.ndarray], other: dict[Part, np.ndarray]) -> bool:
    return all(one[part].dtype == other[part].dtype and np.array_equal(one[part], other[part]) for part in WANTED)


def test_any_number_of_threads_gives_the_same_batches(store, samples) -> None:
    order = [samples[index] for index in (5, 0, 3, 3, 1, 2, 4)]
    truth = {part: store.masks(order) if part == MASK else store.read(order, part) for part in WANTED}
    for threads in (1, 2, 3, 8):
        for _ in range(2):  # in fresh memory and in used memory
            assert same(scan(store, order, threads=threads), truth)


def test_float32_is_the_stored_numbers_exactly(store, samples) -> None:
    truth, wide = scan(store, samples), scan(store, samples, dtype=np.float32)
    for part in (CLS, patch(1), patch(2)):
        assert wide[part].dtype == np.float32
        np.testing.assert_array_equal(wide[part], truth[part].astype(np.float32))
    np.testing.assert_array_equal(wide[MASK], truth[MASK])


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_rows_as_they_are_stored_decode_to_what_is_read(tmp_path, spec, fingerprint, samples, tower, dtype) -> None:
    store = Store.create(tmp_path / "other", fingerprint, spec=spec, recorded={}, dtype=dtype)
    extract(store, tower, samples, set(WANTED))
    stored = store.batch(samples, WANTED, dtype=None)
    assert stored[patch(1)].dtype == dtype
    for kind in (np.float16, np.float32):
        read = store.batch(samples, WANTED, dtype=kind)
        for part in (CLS, patch(1)):
            for row, numbers in zip(stored[part], read[part], strict=True):
                decode(row, into := np.empty_like(numbers))
                np.testing.assert_array_equal(into, numbers)


def test_a_batch_that_is_kept_never_changes(store, samples) -> None:
    order = samples * 5
    kept = list(store.batches(order, WANTED, batch_size=3, threads=2))
    copies = [{part: array.copy() for part, array in features.items()} for _, features in kept]
    views = [features[patch(2)][1:, 3] for _, features in kept]
    seen = [view.copy() for view in views]
    for dtype in (np.float16, np.float32):
        scan(store, order[::-1], dtype=dtype)
    for (_, features), copy in zip(kept, copies, strict=True):
        assert same(features, copy)
    del kept, features
    scan(store, order[::-1])
    for view, as_it_was in zip(views, seen, strict=True):
        np.testing.assert_array_equal(view, as_it_was)


def test_memory_is_used_again_and_its_amount_is_bounded(store, samples, monkeypatch) -> None:
    fresh = []
    empty = np.empty
    for sample in samples:
        store.read([sample], patch(1))  # segments are looked into when they are first read
    monkeypatch.setattr(buffers.np, "empty", lambda *given, **words: fresh.append(given) or empty(*given, **words))
    for _ in range(4):
        for _, features in store.batches(samples * 4, (patch(1),), batch_size=3, threads=2):
            del features
    lent = [shape for shape, dtype in fresh if dtype == np.uint8]
    assert len(lent) <= 6


def test_what_is_damaged_between_two_scans_is_noticed_in_the_second(store, samples) -> None:
    scan(store, samples)
    damage(store)
    with pytest.raises(CorruptStore, match=r"patch/2 of screws/005.png is not what was written .* stackclip repair"):
        scan(store, samples)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stackclip-reader")]


def test_what_is_missing_is_told_where_its_batch_would_be(store, samples, make_samples, tmp_path) -> None:
    other = make_samples(1, root=tmp_path / "other", seed=5)
    batches = store.batches([*samples[:4], *other], WANTED, batch_size=2)
    assert [len(next(batches)[0]) for _ in range(2)] == [2, 2]
    with pytest.raises(MissingParts, match="lacks cls of 1 of 1 pictures"):
        next(batches)


def test_a_store_sent_elsewhere_reads_the_same_batches(store, samples) -> None:
    assert same(scan(pickle.loads(pickle.dumps(store)), samples), scan(store, samples))


def test_a_forked_process_reads_batches_in_memory_of_its_own(store, samples) -> None:
    truth = scan(store, samples)
    _, held = next(store.batches(samples, WANTED, batch_size=6))
    before = {part: array.copy() for part, array in held.items()}
    child = os.fork()
    if child == 0:
        try:
            right = same(scan(store, samples), truth)
            damage(store)
            scan(store, samples)
        except CorruptStore:
            os._exit(7 if right else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert same(held, before)
