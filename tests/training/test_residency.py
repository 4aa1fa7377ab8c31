"""Features that stay in memory are read once, and no figure depends on whether they stay."""

from __future__ import annotations

import logging
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from stackclip.cache import Store, extract
from stackclip.errors import CorruptStore, UsageError
from stackclip.training import residency
from stackclip.training.residency import Kept, choose_residence
from stackclip.training.sources import FeatureReader
from stackclip.types import CLS, MASK, Features, Sample

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GB = 10**9


@pytest.fixture
def memory(monkeypatch) -> Callable[..., None]:
    """`memory(host, device)` says what is free."""

    def set_free(host: int | None, device: int = 0) -> None:
        monkeypatch.setattr(residency, "available_memory", lambda: host)
        monkeypatch.setattr(residency, "_free_on", lambda device_: device)

    return set_free


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """How often each picture was read from a store."""
    counts: Counter[str] = Counter()
    batch = Store.batch

    def counted(self: Store, samples: list[Sample], *given: object, **words: object) -> object:
        counts.update(sample.id for sample in samples)
        return batch(self, samples, *given, **words)

    monkeypatch.setattr(Store, "batch", counted)
    return counts


@pytest.fixture(params=["float16", "int8"])
def store(request, small, tmp_path) -> Store:
    if request.param == "float16":
        return small.store
    tower = small.tower
    store = Store.create(tmp_path, tower.fingerprint, spec=tower.spec, recorded=tower.recorded, dtype="int8")
    extract(store, tower, [*small.training, *small.tested], {CLS, MASK, *tower.spec.taps})
    return store


def same(one: Features, other: Features) -> bool:
    return one.samples == other.samples and all(
        one[part].dtype == other[part].dtype and torch.equal(one[part], other[part]) for part in other.parts
    )


def choose(wish: str, on_device: int, on_host: int, device: torch.device) -> str:
    chosen = choose_residence(wish, pictures=3, on_device=on_device, on_host=on_host, device=device)
    return chosen.place


def test_auto_is_the_device_then_the_host_then_nowhere(memory) -> None:
    memory(host=20 * GB, device=10 * GB)
    assert choose("auto", 5 * GB, 5 * GB, CUDA) == "gpu"
    assert choose("auto", 5 * GB, 5 * GB, CPU) == "ram"
    assert choose("auto", 5 * GB + 1, 5 * GB + 1, CUDA) == "ram"
    assert choose("auto", 20 * GB, 10 * GB, CUDA) == "ram"
    assert choose("auto", 10 * GB + 1, 10 * GB + 1, CUDA) == "off"
    memory(host=None, device=GB)
    assert choose("auto", 2 * GB, 1, CUDA) == "off"


def test_a_place_that_is_named_may_be_filled_and_not_more(memory) -> None:
    memory(host=20 * GB, device=10 * GB)
    assert choose("gpu", 10 * GB, 40 * GB, CUDA) == "gpu"
    assert choose("ram", 40 * GB, 20 * GB, CUDA) == "ram"
    assert choose("off", 1, 1, CUDA) == "off"
    with pytest.raises(UsageError, match=r"3 pictures need 10.0 GB, the device has 10.0 GB free: use .* auto or off"):
        choose("gpu", 10 * GB + 1, 0, CUDA)
    with pytest.raises(UsageError, match=r"3 pictures need 20.0 GB, memory has 20.0 GB free"):
        choose("ram", 0, 20 * GB + 1, CPU)
    with pytest.raises(UsageError, match=r"--resident gpu wants a CUDA device, this one is cpu: use --resident ram"):
        choose("gpu", 1, 1, CPU)
    memory(host=None)
    assert choose("ram", 1, 1, CPU) == "ram"


def test_what_was_chosen_is_one_line(memory) -> None:
    memory(host=18 * GB, device=100 * GB)
    words = {"pictures": 157, "on_device": 12 * GB // 10, "on_host": 12 * GB // 10}
    assert str(choose_residence("auto", device=CPU, **words)) == (
        "features of 157 pictures, 1.2 GB: kept in memory (18.0 GB free)"
    )
    assert str(choose_residence("auto", device=CUDA, **words)).endswith("1.2 GB: kept on the device (100.0 GB free)")
    memory(host=10**6)
    assert str(choose_residence("auto", device=CPU, **words)).endswith(
        "1.2 GB: too large to keep, read each time anew (1.0 MB free)"
    )


@pytest.mark.parametrize("place", ["gpu", "ram"])
def test_kept_features_are_those_that_are_read_and_are_read_once(small, store, reads, place) -> None:
    samples, parts = small.tested.select(split="test").samples, (CLS, MASK, *small.tower.spec.taps)
    plain = FeatureReader(store, CPU)
    kept = Kept(store, samples, parts, device=CPU, resident="ram")
    kept.residence = replace(kept.residence, place=place)
    reader = FeatureReader(store, CPU, kept)
    for order, size, threads in ((samples, 3, 2), (samples[::-1], 5, 1), (samples[2:5] * 2, 4, 3)):
        truth = list(plain.batches(order, parts, size=size))
        reads.clear()
        found = list(reader.batches(order, parts, size=size, threads=threads))
        assert len(found) == len(truth)
        assert all(map(same, found, truth))
        assert set(reads.values()) == ({1} if order is samples else set())


def test_kept_rows_take_what_was_reckoned(small, store, memory) -> None:
    memory(host=GB)
    samples, taps = small.tested.select(split="test").samples, small.tower.spec.taps
    kept = Kept(store, samples, (CLS, *taps), device=CPU)
    kept.batch(samples[:3], taps[:2])
    kept.batch(samples[1:6], taps)
    kept.batch(samples, (CLS, *taps))
    arrays = {id(row.base): row.base for rows in kept._rows.values() for row in rows.values()}
    assert sum(array.nbytes for array in arrays.values()) == kept.residence.needed


def test_other_samples_and_parts_are_read_each_time(small, reads) -> None:
    samples, taps = small.tested.select(split="test").samples, small.tower.spec.taps
    reader = FeatureReader(small.store, CPU, Kept(small.store, samples[:4], taps, device=CPU, resident="ram"))
    for _ in range(2):
        reader.read(samples[:4], taps)
        reader.read(samples[3:6], taps)
        reader.read(samples[:1], {CLS})
    assert [reads[sample.id] for sample in samples[:6]] == [3, 1, 1, 3, 2, 2]


def test_a_batch_of_kept_features_that_is_held_never_changes(small, monkeypatch) -> None:
    from stackclip.cache import buffers

    monkeypatch.setattr(buffers, "_SMALL", 1)
    samples, taps = small.tested.select(split="test").samples, small.tower.spec.taps
    for kept in (None, Kept(small.store, samples, taps, device=CPU, resident="ram")):
        reader = FeatureReader(small.store, CPU, kept)
        held = list(reader.batches(samples * 3, taps, size=3))
        copies = [{part: tensor.clone() for part, tensor in batch.parts.items()} for batch in held]
        for _ in reader.batches(samples[::-1] * 3, taps, size=3):
            pass
        for batch, copy in zip(held, copies, strict=True):
            assert all(torch.equal(batch[part], copy[part]) for part in taps)


def test_what_becomes_corrupt_is_noticed_unless_it_is_kept(small, tmp_path) -> None:
    samples, taps = small.tested.select(split="test").samples, small.tower.spec.taps
    tower = small.tower
    store = Store.create(tmp_path, tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, samples, taps)
    readers = {
        place: FeatureReader(store, CPU, Kept(store, samples, taps, device=CPU, resident=place))
        for place in ("ram", "off")
    }
    truth = [list(reader.batches(samples, taps, size=3)) for reader in readers.values()]
    segment = store.folder / "segments" / "000001.h5"
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    assert all(map(same, readers["ram"].batches(samples, taps, size=3), truth[0]))
    with pytest.raises(CorruptStore, match="is not what was written"):
        list(readers["off"].batches(samples, taps, size=3))


def test_kept_features_do_not_travel(small, reads) -> None:
    samples, taps = small.tested.select(split="test").samples, small.tower.spec.taps
    kept = Kept(small.store, samples, taps, device=CPU, resident="ram")
    kept.batch(samples, taps)
    copy = pickle.loads(pickle.dumps(kept))
    assert (copy.residence.place, copy.samples, copy.parts) == ("ram", kept.samples, kept.parts)
    copy.batch(samples[:1], taps)
    assert reads[samples[0].id] == 2


def test_the_choice_is_said_once_when_something_is_read(small, caplog) -> None:
    samples, parts = small.tested.select(split="test").samples, {CLS}
    with caplog.at_level(logging.INFO, logger="stackclip"):
        kept = Kept(small.store, samples, parts, device=CPU, resident="ram")
        assert caplog.messages == []
        for _ in range(2):
            assert kept.serves(samples, parts)
        assert caplog.messages == [str(kept.residence)]
        assert not Kept(small.store, samples, parts, device=CPU, resident="off").serves(samples, parts)
    assert len(caplog.messages) == 1


def figures(outcome: object) -> list[object]:
    rows = sorted(outcome.rows, key=lambda row: (row.seed, row.method, row.category))  # type: ignore[attr-defined]
    return [(row.error, dict(row.metrics), row.facts["losses"]) for row in rows]


def test_several_seeds_read_every_picture_once_and_no_figure_depends_on_it(small, bench, reads, memory) -> None:
    memory(host=100 * GB)
    plan = small.plan("fuzzy", "clip", seeds=(0, 1), epochs=2)
    found = {}
    for resident in ("off", "ram", "auto"):
        reads.clear()
        found[resident] = figures(bench(plan, resident, resident=resident).run())
        dense = Counter(reads.values())
        assert dense == ({1: 16} if resident != "off" else {4: 8, 2: 8})
    assert not any(error for error, _, _ in found["off"])
    assert found["off"] == found["ram"] == found["auto"]


def test_with_one_seed_only_the_training_pictures_stay(small, bench, reads, memory) -> None:
    memory(host=100 * GB)
    run = bench(small.plan("fuzzy", epochs=3))
    run.run()
    assert run.reader.kept.samples == frozenset(small.training.select(split="test").samples)
    assert set(reads.values()) == {1}


def test_a_place_that_does_not_exist_ends_the_bench_before_any_work(small, bench) -> None:
    with pytest.raises(UsageError, match="wants a CUDA device"):
        bench(small.plan("clip"), resident="gpu").run()


def test_the_trained_detectors_read_with_what_the_bench_keeps(small, bench, reads, memory) -> None:
    memory(host=100 * GB)
    bench(small.plan("fuzzy", epochs=3)).of_seed(0).trained()
    assert set(reads.values()) == {1}
