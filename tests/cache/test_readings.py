"""A picture is taken for what was read of it only while its file is the same, and otherwise it is read."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import columns, extract, readings, sources
from stackclip.data.masks import read_mask
from stackclip.ops import states
from stackclip.ops.seals import unsealed
from stackclip.types import CLS, MASK, Sample

AGE = 1_000_000_000  # seconds: of files as archives unpack them, long before they are read


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put the clock that readings are dated with forward by so many seconds."""

    def forward(seconds: float) -> None:
        for module in (states, sources):
            monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + int(seconds * 1e9))

    return forward


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are hashed from now on."""
    paths: list[Path] = []

    def counted(path: Path, real: Callable[[Path], str] = sources.file_hash) -> str:
        paths.append(path)
        return real(path)

    monkeypatch.setattr(sources, "file_hash", counted)
    return paths


def bitmap(path: Path, level: int) -> None:
    """A picture whose size and time say nothing of its content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 20), (level, level // 2, 10)).save(path)
    os.utime(path, (AGE, AGE))


def test_the_second_run_reads_no_picture_again(new_store, samples, tower, parts, clock, hashed) -> None:
    clock(10)
    extract(new_store(), tower, samples, parts)
    assert len(hashed) == 9
    for _ in range(2):
        hashed.clear()
        store = new_store()
        assert extract(store, None, samples, parts).already_there == 6
        store.batch(samples, parts)
        assert hashed == []


def test_young_pictures_are_read_once_more_and_then_believed(new_store, samples, tower, parts, clock, hashed) -> None:
    counts = []
    for seconds in (0, 10, 10):
        clock(seconds)
        hashed.clear()
        extract(new_store(), tower, samples, parts)
        counts.append(len(set(hashed)))
    assert counts == [9, 9, 0]


def test_pictures_of_equal_content_are_read_once(new_store, tower, tmp_path, samples, clock, hashed) -> None:
    many = []
    for index in range(40):
        path = tmp_path / "equal" / f"{index}.bmp"
        bitmap(path, 50)
        many.append(replace(samples[0], id=path.name, image=path))
    clock(10)
    counts = []
    for _ in range(3):
        hashed.clear()
        extract(new_store(), tower, many, {CLS})
        counts.append(len(set(hashed)))
    assert counts == [40, 0, 0]
    assert len(tower.encoded) == 1


@pytest.mark.parametrize("how", ["written into", "put in its place"])
def test_a_picture_replaced_with_size_and_time_kept_is_another(new_store, samples, tower, tmp_path, clock, how) -> None:
    path, other = tmp_path / "pics" / "0.bmp", tmp_path / "other.bmp"
    bitmap(path, 30)
    bitmap(other, 220)
    sample = replace(samples[0], image=path)
    clock(10)
    extract(new_store(), tower, [sample], {CLS})
    before = new_store().read([sample], CLS)
    if how == "written into":
        path.write_bytes(other.read_bytes())
        os.utime(path, (AGE, AGE))
    else:
        shutil.copy2(other, tmp_path / "new.bmp")
        (tmp_path / "new.bmp").replace(path)
    assert (path.stat().st_size, path.stat().st_mtime) == (other.stat().st_size, AGE)
    store = new_store()
    assert store.lacking([sample], {CLS})
    assert extract(store, tower, [sample], {CLS}).encoded == 1
    assert not np.array_equal(store.read([sample], CLS), before)


def test_a_picture_replaced_within_a_moment_of_its_reading_is_another(new_store, samples, tower, tmp_path) -> None:
    path = tmp_path / "0.bmp"
    bitmap(path, 30)
    sample = replace(samples[0], image=path)
    store = new_store()
    extract(store, tower, [sample], {CLS})
    before = store.read([sample], CLS)
    state = sources.state_of(path, "picture")
    bitmap(path, 220)
    own = store._readings._own["picture", str(path)]  # as a coarse clock would show it
    store._readings.add(path, "picture", own._replace(files=sources.state_of(path, "picture"), moment=time.time_ns()))
    assert sources.state_of(path, "picture")[0].size == state[0].size
    assert extract(store, tower, [sample], {CLS}).encoded == 1
    assert not np.array_equal(store.read([sample], CLS), before)


def test_a_time_in_the_future_is_never_believed(new_store, samples, tower, clock, hashed) -> None:
    os.utime(samples[0].image, (4e9, 4e9))
    clock(10)
    for _ in range(3):
        hashed.clear()
        extract(new_store(), tower, samples[:1], {CLS})
        assert samples[0].image in hashed


def test_two_folders_of_one_name_are_two(new_store, make_samples, tower, tmp_path, clock) -> None:
    folders = []
    for place, level in (("a", 30), ("b", 220)):
        (sample,) = make_samples(1, root=tmp_path / place / "pics")
        bitmap(tmp_path / place / "pics" / "0.bmp", level)
        folders.append(replace(sample, image=tmp_path / place / "pics" / "0.bmp"))
    assert folders[0].key == folders[1].key
    clock(10)
    for sample in folders:
        extract(new_store(), tower, [sample], {CLS})
    first, second = (new_store().read([sample], CLS) for sample in folders)
    assert not np.array_equal(first, second)


def test_a_moved_root_links_and_touched_files_recompute_nothing(new_store, samples, tower, parts, clock) -> None:
    clock(10)
    extract(new_store(), tower, samples, parts)
    count = len(tower.encoded)
    root = samples[0].image.parent
    shutil.move(root, root.with_name("moved"))
    moved = [_at(sample, root.with_name("moved")) for sample in samples]
    os.utime(moved[0].image)
    os.link(moved[1].image, moved[1].image.with_name("linked.png"))
    moved.append(replace(moved[1], image=moved[1].image.with_name("linked.png")))
    assert extract(new_store(), tower, moved, parts).encoded == 0
    assert len(tower.encoded) == count


def _at(sample: Sample, root: Path) -> Sample:
    mask = root / sample.mask.name if sample.mask else None
    return replace(sample, image=root / sample.image.name, mask=mask)


def test_a_mask_that_is_a_folder_is_read_again_when_a_file_comes(
    new_store, samples, tower, tmp_path, clock, hashed
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    shutil.copy(samples[1].mask, folder / "0.png")
    sample = replace(samples[1], mask=folder)
    clock(10)
    extract(new_store(), tower, [sample], {MASK})
    hashed.clear()
    assert new_store().lacking([sample], {MASK}) == ()
    assert hashed == []
    shutil.copy(samples[3].mask, folder / "1.png")
    assert extract(new_store(), tower, [sample], {MASK}).encoded == 1
    np.testing.assert_array_equal(new_store().masks([sample])[0], read_mask(sample, 16))


@pytest.mark.parametrize("damage", ["gone", "flipped", "empty", "a pipe", "other words"])
def test_what_is_lost_is_read_again_and_verify_says_what_is_damaged(
    filled, new_store, samples, parts, hashed, damage, caplog, clock
) -> None:
    clock(10)
    path = filled.folder / "sources.bin"
    data = path.read_bytes()
    path.unlink()
    if damage == "a pipe":
        os.mkfifo(path)
    elif damage != "gone":
        path.write_bytes({"flipped": data[:90] + bytes([data[90] ^ 1]) + data[91:], "empty": b""}.get(damage, b"[1]"))
    store = new_store()
    (problem,) = store.verify() or [None]
    assert (problem is None) == (damage == "gone")
    assert extract(store, None, samples, parts).already_there == 6
    assert len(set(hashed)) == 9
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == (damage != "gone")
    assert new_store().verify() == []
    hashed.clear()
    assert new_store().lacking(samples, parts) == ()
    assert hashed == []


def test_repair_drops_damaged_readings_and_nothing_else(filled, new_store, samples, parts) -> None:
    path = filled.folder / "sources.bin"
    path.write_bytes(path.read_bytes()[:-5])
    (problem,) = filled.repair()
    assert problem.path == path
    assert not path.exists()
    assert new_store().lacking(samples, parts) == ()


def test_readings_that_cannot_be_written_stop_nobody(filled, new_store, samples, parts, monkeypatch, clock) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(columns, "write_pieces", refuse)
    clock(10)
    assert extract(new_store(), None, samples, parts).already_there == 6


def test_what_the_store_lacks_takes_the_place_of_nothing(filled, new_store, samples, tmp_path) -> None:
    picture = samples[0].image
    picture.write_bytes(picture.read_bytes()[:-1] + b"\1")
    store = new_store()
    assert store.lacking(samples[:1], {CLS})
    store.keep_readings()
    states = {check.path: check.state for check in new_store().check_sources()}
    assert states.pop(picture) == "changed"
    assert set(states.values()) == {"same"}


def test_sources_are_told_the_same_changed_gone_or_unreadable(filled, new_store, samples, monkeypatch) -> None:
    first, second, third = (sample.image for sample in samples[:3])
    times = first.stat().st_atime_ns, first.stat().st_mtime_ns
    data = bytearray(first.read_bytes())
    data[-20] ^= 1
    first.write_bytes(data)
    os.utime(first, ns=times)
    second.unlink()
    third.unlink()
    third.mkdir()
    found = list(new_store().check_sources())
    assert {check.path: check.state for check in found if check.state != "same"} == {
        first: "changed",
        second: "gone",
        third: "unreadable",
    }
    assert len(found) == 9


def test_a_store_as_it_was_written_before_is_read_and_its_stamps_are_not_believed(
    filled, new_store, samples, parts, hashed
) -> None:
    (filled.folder / "sources.bin").unlink()  # older versions wrote none; the manifests are as they were
    manifest = unsealed((filled.folder / "segments" / "000001.json").read_bytes())
    assert manifest["records"][0].keys() == {"key", "role", "source", "stamps", "xxh3"}
    store = new_store()
    assert store.lacking(samples, parts) == ()
    assert len(hashed) == 9


def test_where_there_is_no_time_of_change_no_other_process_is_believed(
    new_store, samples, tower, parts, clock, hashed, monkeypatch
) -> None:
    monkeypatch.setattr(readings, "HAS_CHANGE_TIME", False)
    clock(10)
    extract(new_store(), tower, samples, parts)
    assert not (new_store().folder / "sources.bin").exists()
    hashed.clear()
    store = new_store()
    store.lacking(samples, parts)
    store.lacking(samples, parts)
    assert len(hashed) == 9
