"""The index's file spares reading manifests, and nothing that it says leads to a wrong feature."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from random import Random
from threading import Thread

import numpy as np
import pytest

from stackclip.cache import Store, columns, committed, extract, sources
from stackclip.cache.columns import read_columns, write_columns
from stackclip.cache.index_file import _WANTED, IndexFile, index_of, seen_in
from stackclip.cache.manifest import Manifest
from stackclip.cache.record_table import digests_of
from stackclip.errors import CorruptStore, MissingParts, StackclipError
from stackclip.ops import states
from stackclip.types import CLS, MASK, Part, Sample, patch

DENSE = (CLS, patch(1), patch(2))


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written down is old enough for being believed, and none is too little to be written."""
    for module in (states, sources, committed):
        monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + 10**10)
    monkeypatch.setattr(committed, "_FEW", 1)


@pytest.fixture
def manifests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The manifests that are read from now on."""
    names: list[str] = []
    real = Manifest.read.__func__

    def counted(cls: type[Manifest], path: Path, **named: object) -> Manifest:
        names.append(path.stem)
        return real(cls, path, **named)

    monkeypatch.setattr(Manifest, "read", classmethod(counted))
    return names


@pytest.fixture
def right(filled: Store, samples: list[Sample]) -> dict[Part, np.ndarray]:
    """What is in the store."""
    return {**{part: filled.read(samples, part) for part in DENSE}, MASK: filled.masks(samples)}


def all_right(store: Store, samples: list[Sample], right: dict[Part, np.ndarray]) -> bool:
    """Whether everything is there; what is there and wrong fails the test."""
    whole = True
    for part, arrays in right.items():
        for sample, array in zip(samples, arrays, strict=True):
            try:
                found = store.masks([sample])[0] if part == MASK else store.read([sample], part)[0]
            except StackclipError:
                whole = False
            else:
                np.testing.assert_array_equal(found, array)
    return whole


def test_what_the_file_covers_is_read_when_it_is_asked_for(filled, new_store, samples, right, manifests) -> None:
    assert index_of(filled.folder).exists()
    store = new_store()
    assert (len(store), store.parts, store.size_bytes) == (6, frozenset(right), filled.size_bytes)
    assert store.lacking(samples, right) == ()
    assert manifests == []
    assert all_right(store, samples, right)
    assert manifests == ["000001"]


def test_only_what_came_since_is_read(filled, new_store, samples, tower, manifests, monkeypatch) -> None:
    monkeypatch.setattr(committed, "_FEW", 1000)
    extract(new_store(), tower, samples, {patch(3)})
    manifests.clear()
    store = new_store()
    assert manifests == ["000002"]
    assert store.lacking(samples, {*DENSE, patch(3)}) == ()
    monkeypatch.setattr(committed, "_FEW", 1)
    new_store().keep_readings()
    manifests.clear()
    assert new_store().lacking(samples, {*DENSE, patch(3)}) == ()
    assert manifests == []


def test_a_young_segment_is_read_again_and_not_written_down(filled, new_store, manifests, monkeypatch) -> None:
    index_of(filled.folder).unlink()
    for module in (states, sources, committed):
        monkeypatch.setattr(module, "time_ns", time.time_ns)
    new_store().keep_readings()
    assert not index_of(filled.folder).exists()
    assert len(new_store()) == 6
    assert set(manifests) == {"000001"}


def test_an_index_from_the_future_is_not_believed(filled, new_store, manifests, monkeypatch) -> None:
    for module in (states, sources, committed):
        monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() - 10**9)
    assert len(new_store()) == 6
    assert manifests == ["000001"]


@pytest.mark.parametrize("suffix", [".json", ".h5"])
def test_a_file_that_was_touched_or_replaced_is_looked_at_again(filled, new_store, manifests, suffix) -> None:
    path = filled.folder / "segments" / f"000001{suffix}"
    os.utime(path)
    assert len(new_store()) == 6
    assert manifests == ["000001"]
    new_store().keep_readings()
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").replace(path)
    manifests.clear()
    assert len(new_store()) == 6
    assert manifests == ["000001"]


def test_a_segment_that_is_gone_is_in_no_answer(filled, new_store, samples, tower, right) -> None:
    extract(filled, tower, samples, {patch(3)})
    new_store().keep_readings()
    for path in (filled.folder / "segments").glob("000001.*"):
        path.unlink()
    store = new_store()
    assert store.parts == {patch(3)}
    assert len(store.lacking(samples, DENSE)) == 6
    assert extract(store, tower, samples, frozenset(right)).encoded == 6
    assert all_right(new_store(), samples, right)


def test_a_damaged_index_is_made_anew_and_told_by_verify(filled, new_store, samples, right) -> None:
    path = index_of(filled.folder)
    data, random = path.read_bytes(), Random(0)
    flips = [(at, data[at] ^ 1 << random.randrange(8)) for at in random.sample(range(len(data)), 60)]
    damaged = [data[:at] + bytes([byte]) + data[at + 1 :] for at, byte in flips]
    damaged += [b"", data[:-1], data[:30], data + bytes(64), bytes(len(data)), b"[" * 9000, data[: len(data) // 2]]
    for bytes_ in damaged:
        path.write_bytes(bytes_)
        assert all_right(new_store(), samples, right)
        (problem,) = new_store().verify()
        assert problem.path == path
    assert [each.path for each in new_store().repair()] == [path]
    assert new_store().verify() == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_an_index_that_is_no_file_hangs_nobody(filled, new_store, samples, right, make) -> None:
    path = index_of(filled.folder)
    path.unlink()
    make(path)
    assert all_right(new_store(), samples, right)
    new_store().keep_readings()


def test_the_index_of_another_store_is_not_taken_for_this_ones(
    filled, samples, tmp_path, spec, fingerprint, tower, parts, make_samples
) -> None:
    other = Store.create(tmp_path / "cache", {**fingerprint, "semantics": 2}, spec=spec, recorded={})
    extract(other, tower, make_samples(6, root=tmp_path / "more", seed=1), parts)
    shutil.copy(index_of(other.folder), index_of(filled.folder))
    assert Store.open(filled.folder).lacking(samples, parts) == ()


def test_a_lie_with_a_right_checksum_leads_to_no_wrong_feature(filled, new_store, samples, right, tower, parts) -> None:
    """Every column is changed in every way that its type allows; the rows that come are the right ones."""
    path, random = index_of(filled.folder), np.random.default_rng(0)
    facts, honest = read_columns(path, _WANTED, largest=1 << 20)
    honest = {name: column.copy() for name, column in honest.items()}
    for name in ("digests", "segments", "records", "sets", "lengths", "states"):
        for _ in range(12):
            lying = {key: column.copy() for key, column in honest.items()}
            column = lying[name].reshape(-1)
            if name == "digests":
                lying[name] = np.sort(np.frombuffer(random.bytes(lying[name].nbytes), lying[name].dtype))
            elif random.integers(2):
                column[...] = random.permutation(column)
            else:
                column[random.integers(len(column))] = random.integers(0, 8)
            write_columns(path, facts, lying)
            all_right(new_store(), samples, right)
            store = new_store()
            extract(store, tower, samples, parts)
            assert all_right(store, samples, right)
    store.keep_readings()


def test_a_lie_is_told_once_and_corrected(filled, new_store, samples, right, caplog, manifests) -> None:
    path = index_of(filled.folder)
    facts, lying = read_columns(path, _WANTED, largest=1 << 20)
    write_columns(path, facts, {**lying, "records": lying["records"][::-1]})
    store = new_store()
    assert all_right(store, samples, right)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: does not tell what is in the store; the manifests are read"
    ]
    store.keep_readings()
    manifests.clear()
    assert all_right(new_store(), samples, right)
    assert manifests == ["000001"]


@pytest.mark.parametrize("suffix", [".json", ".h5"])
def test_what_rots_while_its_times_stay_is_noticed_when_it_is_first_read(
    filled, new_store, samples, right, suffix, monkeypatch
) -> None:
    seen, path, random = seen_in(filled.folder), filled.folder / "segments" / f"000001{suffix}", Random(suffix)
    monkeypatch.setattr(committed, "seen_in", lambda folder: seen)  # as a disk that rots shows it
    data = path.read_bytes()
    for _ in range(60):
        at = random.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :])
        store = new_store()
        assert store.problems == ()
        assert not all_right(store, samples, right), at
    path.write_bytes(data[:40] + bytes(20) + data[60:])
    with pytest.raises(CorruptStore, match=r"000001.* it holds cls of screws/000.png. Run: stackclip repair"):
        new_store().read(samples, CLS)


def test_an_older_segment_serves_where_the_later_one_turns_out_to_be_damaged(
    filled, new_store, samples, tower, right, monkeypatch
) -> None:
    segments = filled.folder / "segments"
    for suffix in (".json", ".h5"):
        shutil.copy(segments / f"000001{suffix}", segments / f"000002{suffix}")
    new_store().keep_readings()
    seen = seen_in(filled.folder)
    monkeypatch.setattr(committed, "seen_in", lambda folder: seen)
    (segments / "000002.json").write_text("{}")
    store = new_store()
    assert store.problems == ()
    assert all_right(store, samples, right)
    assert [problem.path.name for problem in store.problems] == ["000002.json"]
    assert len(store) == 6


def test_a_segment_that_takes_the_name_of_one_that_was_never_read_is_found(
    filled, new_store, samples, tower, make_samples, tmp_path, right, caplog
) -> None:
    reader = new_store()
    for path in (filled.folder / "segments").iterdir():
        path.unlink()
    others = make_samples(6, root=tmp_path / "others", seed=1)
    extract(new_store(), tower, others, {CLS})
    caplog.clear()
    with pytest.raises(MissingParts, match="lacks cls of 6 of 6 pictures"):
        reader.read(samples, CLS)
    np.testing.assert_array_equal(reader.read(others, CLS), new_store().read(others, CLS))
    assert caplog.records == []


def test_two_who_write_it_at_once_leave_a_whole_one(filled, samples, right, manifests) -> None:
    stores = [Store.open(filled.folder) for _ in range(4)]
    for _ in range(5):
        index_of(filled.folder).unlink(missing_ok=True)
        threads = [Thread(target=store._index.keep) for store in stores]
        for store in stores:
            store._index.read_again(believing=False)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        manifests.clear()
        assert all_right(Store.open(filled.folder), samples, right)
        assert manifests == ["000001"]
    assert not list(filled.folder.glob(".stackclip-*"))


def test_an_index_that_cannot_be_written_stops_nobody(filled, new_store, samples, right, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    index_of(filled.folder).unlink()
    monkeypatch.setattr(columns, "write_pieces", refuse)
    store = new_store()
    store.keep_readings()
    assert all_right(store, samples, right)
    assert not index_of(filled.folder).exists()


def test_where_there_is_no_time_of_change_there_is_no_index(filled, new_store, manifests, monkeypatch) -> None:
    monkeypatch.setattr(committed, "HAS_CHANGE_TIME", False)
    assert len(new_store()) == 6
    assert manifests == ["000001"]
    index_of(filled.folder).unlink()
    new_store().keep_readings()
    assert not index_of(filled.folder).exists()


def test_a_large_index_is_mapped(filled, new_store, samples, right, monkeypatch) -> None:
    monkeypatch.setattr(columns, "_MAPPED", 0)
    assert all_right(new_store(), samples, right)


def test_a_name_that_no_writer_gives_is_read_and_not_written_down(filled, new_store, samples, right) -> None:
    segments = filled.folder / "segments"
    for name in ("0000001", "9" * 30):
        for suffix in (".json", ".h5"):
            shutil.copy(segments / f"000001{suffix}", segments / f"{name}{suffix}")
    index_of(filled.folder).unlink()
    store = new_store()
    store.keep_readings()
    assert all_right(store, samples, right)
    kept = IndexFile.read(index_of(filled.folder), store.digest, largest=1 << 20)
    assert kept is not None
    assert list(kept.seen) == ["000001"]


def test_many_at_a_time_get_the_answers_that_each_gets(new_store, right, samples) -> None:
    store = new_store()
    digests = [store.source(sample).digest for sample in samples] + ["0" * 64, "f" * 64]
    assert store._index.held_of(digests_of(digests)) == [store._index.held(digest) for digest in digests]
    assert [digest in store._index for digest in digests[:6]] == [True] * 6


def test_a_damaged_segment_is_told_by_every_store_that_is_opened(filled, new_store, samples, tower, right) -> None:
    extract(filled, tower, samples, {patch(3)})
    segment = filled.folder / "segments" / "000001.h5"
    segment.write_bytes(segment.read_bytes()[:-1])
    index_of(filled.folder).unlink()
    for _ in range(3):
        store = new_store()
        assert [problem.path.stem for problem in store.problems] == ["000001"]
        assert len(store.lacking(samples, {CLS})) == 6
        store.keep_readings()
        assert index_of(filled.folder).exists()
