"""What a writer acknowledged survives whatever ends it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stackclip.cache import Store, Writer, extract
from stackclip.cache.header import read_header
from stackclip.cache.lock import WriterLock
from stackclip.errors import PictureError, StoreError, StoreLocked
from stackclip.ops import drafts
from stackclip.types import CLS, MASK, Sample, patch

ONES = np.ones(6, np.float16)
TOKENS = np.ones((16, 8), np.float16)

WRITE_ONE_BY_ONE = """
    import sys, pathlib, numpy, stackclip.cache as cache
    from stackclip.cache.sources import Source
    from stackclip.types import Part
    store = cache.Store.open(pathlib.Path(sys.argv[1]))
    tell = lambda records: print(*(record.digest for record in records), flush=True)
    with store.writer(on_sealed=tell, seal_bytes=600) as writer:
        start, count = map(int, (*sys.argv[2:], 10**6)[:2])
        for index in range(start, start + count):
            source = Source(f"d/{index}", "picture", pathlib.Path("x"), f"{index:064x}", ((index, index),))
            writer.add(source, {Part("patch", 1): numpy.full((16, 8), index % 1000, numpy.float16)})
"""


def leftovers(store: Store) -> list[str]:
    names = {path.name for path in store.folder.rglob("*") if path.is_file()} - {"store.json", "writer.lock"}
    return sorted(name for name in names if name.startswith(".") or name.replace(".h5", ".json") not in names)


def test_what_is_sealed_is_acknowledged_and_not_before(store: Store, samples: list[Sample]) -> None:
    told: list[str] = []
    with store.writer(on_sealed=lambda records: told.extend(record.key for record in records)) as writer:
        writer.add(store.source(samples[0]), {CLS: ONES})
        assert (writer.acknowledged, told) == (0, [])
        assert Store.open(store.folder).lacking(samples[:1], {CLS})
        writer.seal()
        assert (writer.acknowledged, told) == (1, ["screws/000.png"])
        assert not Store.open(store.folder).lacking(samples[:1], {CLS})
        writer.add(store.source(samples[1]), {CLS: ONES})
    assert writer.acknowledged == 2
    assert writer.bytes_written == store.size_bytes


def test_a_segment_is_sealed_when_it_is_large_enough(store: Store, samples: list[Sample]) -> None:
    with store.writer(seal_bytes=2 * TOKENS.nbytes) as writer:
        for sample in samples[:5]:
            writer.add(store.source(sample), {patch(1): TOKENS})
    assert len(list((store.folder / "segments").glob("*.h5"))) == 3


def test_a_segment_is_sealed_when_it_is_old_enough(store: Store, samples: list[Sample]) -> None:
    with store.writer(seal_seconds=0) as writer:
        for sample in samples[:3]:
            writer.add(store.source(sample), {CLS: ONES})
    assert len(list((store.folder / "segments").glob("*.h5"))) == 3


def test_parts_that_come_later_go_into_segments_of_their_own(filled: Store, samples, tower, parts) -> None:
    old = {path: path.read_bytes() for path in (filled.folder / "segments").iterdir()}
    report = extract(filled, tower, samples, {*parts, patch(3)})
    assert report.encoded == 6
    assert tower.encoded[-6:] == [frozenset({patch(3)})] * 6
    assert {path: path.read_bytes() for path in old} == old
    assert sorted(path.name for path in (filled.folder / "segments").iterdir())[2:] == ["000002.h5", "000002.json"]


def test_nothing_is_stored_twice(filled: Store, samples) -> None:
    with filled.writer() as writer:
        writer.add(filled.source(samples[0]), {CLS: ONES})
        writer.add(filled.source(samples[0]), {patch(3): TOKENS})
        writer.add(filled.source(samples[0]), {patch(3): 2 * TOKENS})
    assert writer.acknowledged == 1
    assert filled.read(samples[:1], patch(3)).max() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_the_pictures_name(store: Store, samples, value) -> None:
    features = ONES.copy()
    features[3] = value
    with store.writer() as writer:
        with pytest.raises(PictureError, match=r"000.png: cls is not finite"):
            writer.add(store.source(samples[0]), {CLS: features, patch(1): TOKENS})
        writer.add(store.source(samples[1]), {CLS: -65504 * ONES})
    assert store.holdings(samples[:2])[0].isdisjoint({CLS, patch(1)})
    assert CLS in store.holdings(samples[:2])[1]


def test_arrays_of_another_type_shape_or_origin_are_refused(store: Store, samples) -> None:
    with store.writer() as writer:
        source, mask = store.source(samples[1]), store.source(samples[1], MASK)
        with pytest.raises(StoreError, match=r"cls of screws/001.png is float32 \(6,\), wanted float16 \(6,\)"):
            writer.add(source, {CLS: ONES.astype(np.float32)})
        with pytest.raises(StoreError, match=r"patch/1 .* is float16 \(15, 8\), wanted float16 \(16, 8\)"):
            writer.add(source, {patch(1): TOKENS[1:]})
        with pytest.raises(StoreError, match="not made from its mask"):
            writer.add(mask, {CLS: ONES})
        with pytest.raises(StoreError, match="not made from its picture"):
            writer.add(source, {MASK: np.zeros((1, 3), np.uint32)})
        with pytest.raises(StoreError, match="no store holds patch/9"):
            writer.add(source, {patch(9): TOKENS})
    assert len(store) == 0


@pytest.mark.parametrize("reason", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_was_gathered_is_sealed_whatever_ends_the_block(store: Store, samples, reason) -> None:
    def stop(writer: Writer) -> None:
        writer.add(store.source(samples[0]), {CLS: ONES})
        raise reason

    with pytest.raises(reason), store.writer() as writer:
        stop(writer)
    assert not Store.open(store.folder).lacking(samples[:1], {CLS})
    store.writer().__enter__().seal()  # the lock is free again


@pytest.mark.parametrize("call", ["write", "fsync", "posix_fallocate", "open", "link", "sync_folder", "manifest"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_refuses_is_one_line_and_what_was_sealed_stays(
    store: Store, samples, tower, parts, monkeypatch, call, number
) -> None:
    extract(store, tower, samples[:2], parts)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        if call == "sync_folder":
            patched.setattr("stackclip.cache.folders.sync_folder", refuse)
        elif call == "manifest":
            link = os.link
            patched.setattr(os, "link", lambda old, new: refuse() if new.suffix == ".json" else link(old, new))
        elif call == "write":  # of a segment; the few bytes that name the lock's holder come through
            write = os.write
            patched.setattr(os, call, lambda where, data: write(where, data) if len(data) < 200 else refuse())
        elif call == "open":
            original = os.open
            patched.setattr(os, "open", lambda path, *rest: refuse() if ".tmp" in str(path) else original(path, *rest))
        else:
            patched.setattr(os, call, refuse)
        with pytest.raises(StoreError, match=r"cannot (write to .*segments|force .*): .*run again") as raised:
            extract(store, tower, samples, parts)
    assert "\n" not in str(raised.value)
    assert os.strerror(number) in str(raised.value)
    fresh = Store.open(store.folder)
    assert (len(fresh), fresh.problems) == (2, ())
    assert extract(fresh, tower, samples, parts).encoded == 4
    assert leftovers(store) == []
    assert Store.open(store.folder).verify() == []


def test_a_manifest_that_could_not_be_forced_to_the_disk_keeps_its_segment(store, samples, monkeypatch) -> None:
    def fail_after_the_manifest(folder: Path) -> None:
        if list(folder.glob("*.json")):
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("stackclip.cache.commit.sync_folder", fail_after_the_manifest)
        with pytest.raises(StoreError), store.writer() as writer:
            writer.add(store.source(samples[0]), {CLS: ONES})
    assert writer.acknowledged == 0
    assert Store.open(store.folder).verify() == []


def test_short_writes_are_continued(store, samples, tower, parts, monkeypatch) -> None:
    original = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: original(descriptor, data[:7]))
        extract(store, tower, samples, parts)
    assert Store.open(store.folder).verify() == []


def test_the_space_is_taken_before_writing_only_where_the_system_can(store, samples, monkeypatch) -> None:
    def cannot(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", cannot)
        with store.writer() as writer:
            writer.add(store.source(samples[0]), {CLS: ONES})
    with monkeypatch.context() as patched:
        patched.delattr(os, "posix_fallocate")
        with store.writer() as writer:
            writer.add(store.source(samples[1]), {CLS: ONES})
    assert Store.open(store.folder).verify() == []
    assert len(store) == 2


def test_a_writer_that_failed_takes_nothing_more(store, samples, monkeypatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))

    def add_all(writer: Writer) -> None:
        for sample in samples:
            writer.add(store.source(sample), {CLS: ONES})
            time.sleep(0.05)

    with pytest.raises(StoreError, match="No space left"), store.writer(seal_seconds=0) as writer:
        add_all(writer)
    assert writer.acknowledged == 0


def test_two_processes_write_one_store(store: Store) -> None:
    code = textwrap.dedent(WRITE_ONE_BY_ONE)
    starts = (0, 10**5)
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(store.folder), str(start), "40"], stdout=subprocess.PIPE)
        for start in starts
    ]
    told = [writer.communicate(timeout=120)[0].decode().split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(digests) for digests in told] == [40, 40]
    fresh = Store.open(store.folder)
    assert (len(fresh), fresh.verify(), leftovers(fresh)) == (80, [], [])
    for start, digests in zip(starts, told, strict=True):
        assert digests == [f"{index:064x}" for index in range(start, start + 40)]


def test_who_writes_is_named_to_one_who_would_be_alone(filled, new_store) -> None:
    code = """
        import sys, pathlib, stackclip.cache as cache
        try:
            cache.Store.open(pathlib.Path(sys.argv[1])).repair()
        except Exception as error:
            print(type(error).__name__, error)
    """
    run = [sys.executable, "-c", textwrap.dedent(code), str(filled.folder)]
    with filled.writer(), new_store().writer():
        refused = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert refused.startswith("StoreLocked")
    assert refused.count(f"process {os.getpid()} on ") == 1
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == ""


def test_the_lock_of_a_dead_process_and_any_text_in_it_stop_nobody(filled, samples) -> None:
    for text in (json.dumps({"host": "gone", "pid": 1}), "\0\xff{", ""):
        (filled.folder / "writer.lock").write_text(text)
        with filled.writer():
            pass


def test_a_holder_that_left_no_name_is_still_a_holder(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("stackclip.cache.lock._BRIEF", 0.05)
    lock = WriterLock(tmp_path / "writer.lock")
    (tmp_path / "writer.lock").write_text("?")
    with pytest.raises(StoreLocked, match="by another process"):
        WriterLock(tmp_path / "writer.lock")
    lock.release()
    WriterLock(tmp_path / "writer.lock").release()


def _ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_drafts_of_the_living_stay(filled, samples) -> None:
    old = filled.folder / ".store.json.77.tmp"  # of an older version, which may be making it now
    old.write_bytes(b"half")
    living = [drafts.Draft(folder) for folder in (filled.folder, filled.folder / "segments")]
    with filled.writer() as writer:
        writer.add(filled.source(samples[0]), {patch(3): TOKENS})
    assert old.exists()
    for draft in living:
        assert draft.path.exists()
        assert draft.becomes(draft.path.with_name("whole"))
        draft.__exit__()


def test_the_next_writer_removes_what_a_killed_one_left(filled, samples) -> None:
    segments = filled.folder / "segments"
    for name in (".000002.h5.tmp", ".000002.json.77.tmp", "000003.h5"):
        (segments / name).write_bytes(b"half")
    (filled.folder / ".store.json.77.tmp").write_bytes(b"half")
    os.utime(filled.folder / ".store.json.77.tmp", (0, 0))
    draft = f".stackclip-{drafts._host()}-{_ended()}-0123456789abcdef.tmp"
    for folder in (filled.folder, segments):
        (folder / draft).write_bytes(b"half")
    assert Store.open(filled.folder).verify() == []  # none of them is part of the store
    (segments / "000009.json").write_text("damaged, so its segment is not for a writer to judge")
    (segments / "000009.h5").write_bytes(b"kept")
    with filled.writer() as writer:
        writer.add(filled.source(samples[0]), {patch(3): TOKENS})
    names = {path.name for path in segments.iterdir()}
    assert names == {f"{number}.{kind}" for number in ("000001", "000009", "000010") for kind in ("h5", "json")}
    assert not list(filled.folder.glob(".*.tmp"))


def test_leftovers_are_for_one_who_is_alone(filled, new_store, samples) -> None:
    segments = filled.folder / "segments"
    orphan, written = segments / "000002.h5", segments / "000003.h5"
    with new_store().writer():
        orphan.write_bytes(b"claimed a moment ago, as it seems")
        with filled.writer() as writer:
            writer.add(filled.source(samples[0]), {patch(3): TOKENS})
        assert orphan.exists()
    draft = segments / ".stackclip-another-machine-1-0123456789abcdef.tmp"
    draft.write_bytes(b"what another machine writes, whose lock is not seen here")
    (segments / "000004.h5").hardlink_to(draft)
    with filled.writer():
        pass
    assert {path.name for path in segments.iterdir()} == {
        *("000001.h5", "000001.json", "000003.json", written.name, "000004.h5", draft.name)
    }


def test_the_number_of_a_segment_that_was_lost_is_not_given_again(filled, samples) -> None:
    segments = filled.folder / "segments"
    lost = (segments / "000001.json").read_bytes()
    (segments / "000001.h5").rename(segments / "000002.h5")
    (segments / "000003.json").write_bytes(lost)
    with filled.writer() as writer:  # clears the segment that has no manifest
        writer.add(filled.source(samples[0]), {patch(3): TOKENS})
    assert {path.name for path in segments.iterdir()} == {"000001.json", "000003.json", "000004.h5", "000004.json"}
    assert (segments / "000001.json").read_bytes() == (segments / "000003.json").read_bytes() == lost


def test_a_manifest_that_is_there_already_is_not_replaced(store, samples, monkeypatch) -> None:
    segments = store.folder / "segments"

    def and_a_manifest_from_nowhere(folder: Path) -> None:
        (folder / "000001.json").write_text("of somebody else")

    monkeypatch.setattr("stackclip.cache.commit.sync_folder", and_a_manifest_from_nowhere)
    with pytest.raises(StoreError, match="another writer's manifest has the number"), store.writer() as writer:
        writer.add(store.source(samples[0]), {CLS: ONES})
    assert (segments / "000001.json").read_text() == "of somebody else"
    assert writer.acknowledged == 0


@pytest.mark.parametrize("delay", [0.0, 0.043])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(store: Store, delay: float) -> None:
    code = textwrap.dedent(WRITE_ONE_BY_ONE)
    acknowledged: list[str] = []
    for start in (0, 10**5):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(store.folder), str(start)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        acknowledged += process.stdout.readline().split()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split()
        process.wait()
        process.stdout.close()
    fresh = Store.open(store.folder)
    assert fresh.verify() == []
    assert len(fresh) >= len(acknowledged) > 0
    assert all(patch(1) in fresh._index.held(digest) for digest in acknowledged if len(digest) == 64)
    with fresh.writer():
        pass
    assert leftovers(fresh) == []


def test_a_reader_beside_a_writer_never_sees_half_a_segment(store: Store) -> None:
    code = textwrap.dedent(WRITE_ONE_BY_ONE)
    process = subprocess.Popen([sys.executable, "-c", code, str(store.folder), "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        sizes: list[int] = []
        patience = time.monotonic() + 60  # for a writer that the machine gives no time
        while len(sizes) < 15 or (sizes[-1] == sizes[0] and time.monotonic() < patience):
            store.refresh()
            sizes.append(len(store))
            assert store.problems == ()
            assert store.verify() == []
    finally:
        process.kill()
        process.communicate()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0] > 0


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, spec, fingerprint) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot make .*file: File exists"):
        Store.create(tmp_path / "file" / "cache", fingerprint, spec=spec, recorded={})


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_written_to_and_not_repaired(
    filled, samples, tower, parts, monkeypatch, number
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    orphan = filled.folder / "segments" / "000002.h5"
    orphan.write_bytes(b"of another who may be alive")
    assert extract(Store.open(filled.folder), tower, samples, {*parts, patch(3)}).encoded == 6
    assert orphan.exists()
    assert (filled.folder / "segments" / "000003.json").exists()
    with pytest.raises(StoreError, match=r"cannot lock .*writer.lock: .*copy the folder to another disk"):
        filled.repair()


def test_one_who_is_alone_is_waited_for_by_name(store, samples, tower, parts, caplog) -> None:
    caplog.set_level("INFO")
    mender = WriterLock(store.folder / "writer.lock")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(extract, store, tower, samples, parts, patience=60)
        end = time.monotonic() + 60
        while "waiting for" not in caplog.text and time.monotonic() < end:
            time.sleep(0.01)
        mender.release()
        assert waiting.result().encoded == 6
    assert f"waiting for process {os.getpid()} on " in caplog.text


def test_patience_has_an_end(filled) -> None:
    mender = WriterLock(filled.folder / "writer.lock")
    with pytest.raises(StoreLocked, match=r"by process .*cache-features --wait"):
        filled.writer(patience=0.3).__enter__()
    mender.release()


def test_one_who_clears_the_store_is_waited_for_without_being_asked_to(filled) -> None:
    """Who clears it leaves no name, and is soon done."""
    cleaner = WriterLock(filled.folder / "writer.lock")
    (filled.folder / "writer.lock").write_bytes(b"")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: filled.writer().__enter__().seal())
        time.sleep(0.2)
        assert not waiting.done()
        cleaner.release()
        waiting.result(timeout=60)


def test_what_another_brought_meanwhile_is_not_stored_twice(store, new_store, samples) -> None:
    told: list[str] = []
    other = new_store()
    with (
        store.writer(on_sealed=lambda records: told.extend(record.key for record in records)) as one,
        other.writer() as two,
    ):
        one.add(store.source(samples[0]), {CLS: ONES, patch(1): TOKENS})
        one.add(store.source(samples[2]), {CLS: ONES})
        two.add(other.source(samples[0]), {CLS: ONES})
        two.add(other.source(samples[2]), {CLS: ONES})
        two.seal()
        one.seal()
        one.add(store.source(samples[4]), {CLS: ONES})
        two.add(other.source(samples[4]), {CLS: ONES})
        two.seal()
    assert told == ["screws/000.png", "screws/002.png", "screws/004.png"]
    header = read_header(store.folder)
    held = [
        (record.key, sorted(map(str, record.hashes)))
        for path in (store.folder / "segments").glob("*.json")
        for record in header.manifest(path).records
    ]
    assert sorted(held) == [
        ("screws/000.png", ["cls"]),
        ("screws/000.png", ["patch/1"]),
        ("screws/002.png", ["cls"]),
        ("screws/004.png", ["cls"]),
    ]
    assert len(list((store.folder / "segments").glob("*.h5"))) == 3
    assert Store.open(store.folder).verify() == []


def test_a_store_that_another_process_made_meanwhile_is_no_failure(tmp_path, spec, fingerprint, monkeypatch) -> None:
    from stackclip.cache import header as module

    write = module.write_atomically

    def slower(path: Path, data: bytes) -> None:
        write(path, data)
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(module, "write_atomically", slower)
    assert len(Store.create(tmp_path, fingerprint, spec=spec, recorded={})) == 0
