"""Extraction encodes what is lacking, once, and loses nothing when it is stopped."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import closing
from dataclasses import fields, replace
from time import sleep
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.ImageFile import ImageFile

from stackclip.cache import Store, extract, plan, preparation
from stackclip.cache.extract import ExtractOptions, Manner
from stackclip.clip.views import seen, seen_pixels
from stackclip.errors import PictureError, StoreError
from stackclip.ops.tiling import Tiling
from stackclip.types import CLS, MASK, Part, patch


def test_a_second_run_encodes_nothing(store, samples, tower, parts) -> None:
    first = extract(store, tower, samples, parts)
    assert (first.encoded, first.already_there, first.failed) == (6, 0, ())
    assert first.bytes == store.size_bytes
    assert first.folder == store.folder
    second = extract(Store.open(store.folder), tower, samples, parts)
    assert (second.encoded, second.already_there, second.bytes) == (0, 6, 0)
    assert len(tower.encoded) == 6


def test_only_the_parts_that_are_lacking_are_asked_of_the_tower(store, samples, tower, parts) -> None:
    extract(store, tower, samples[:3], {CLS})
    extract(store, tower, samples, {CLS, patch(2)}, batch_size=2)
    assert tower.encoded[3:].count(frozenset({patch(2)})) == 3
    assert tower.encoded[3:].count(frozenset({CLS, patch(2)})) == 3
    assert extract(store, tower, samples, {MASK}).encoded == 3
    assert len(tower.encoded) == 9  # masks need no tower


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (4, 3), (100, 2)])
def test_neither_batch_size_nor_workers_change_what_is_stored(
    store, new_store, samples, tower, parts, batch_size, workers
) -> None:
    extract(store, tower, samples, parts, batch_size=batch_size, workers=workers)
    for part in parts - {MASK}:
        single = [tower.encode(_prepared(tower, sample), [part])[part].numpy().astype(np.float16) for sample in samples]
        np.testing.assert_allclose(store.read(samples, part), np.concatenate(single), atol=2e-3)
    assert extract(new_store(), tower, samples, parts, batch_size=3).already_there == 6


def _prepared(tower, sample):
    import torch

    return torch.from_numpy(tower.prepare(Image.open(sample.image)))[None]


def test_pictures_of_equal_bytes_are_encoded_once(store, samples, tower, parts, make_samples, tmp_path) -> None:
    twins = make_samples(6, root=tmp_path / "twins", dataset="bolts")
    report = extract(store, tower, [*samples, *twins], parts, batch_size=5)
    assert (report.encoded, report.already_there) == (6, 6)
    assert len(tower.encoded) == 6
    np.testing.assert_array_equal(store.read(twins, CLS), store.read(samples, CLS))
    np.testing.assert_array_equal(store.masks(twins), store.masks(samples))


def test_touched_renamed_and_moved_pictures_are_not_encoded_again(
    filled, samples, tower, parts, make_samples, tmp_path
) -> None:
    moved = make_samples(6, root=tmp_path / "moved")
    moved[2] = replace(moved[2], id="renamed.png", image=moved[2].image.rename(tmp_path / "renamed.png"))
    report = extract(Store.open(filled.folder), tower, moved, parts)
    assert (report.encoded, report.already_there, len(tower.encoded)) == (0, 6, 6)


def test_a_bad_picture_is_named_and_the_rest_goes_on(store, samples, tower, parts, tmp_path) -> None:
    samples[2].image.write_bytes(b"no picture")
    samples[3].mask.write_bytes(b"no mask")
    samples[4] = replace(samples[4], image=tmp_path / "gone.png")
    seen = []
    report = extract(store, tower, samples, parts, progress=lambda done, total: seen.append((done, total)))
    assert (report.encoded, report.already_there) == (4, 0)  # a picture needs no mask
    assert [error.path.name for error in report.failed] == ["002.png", "003_mask.png", "gone.png"]
    assert seen == [(done, 6) for done in range(1, 7)]
    assert len(store.lacking(samples, parts)) == 3


def test_a_picture_whose_mask_is_broken_keeps_its_features(store, samples, tower, parts) -> None:
    samples[3].mask.write_bytes(b"no mask")
    extract(store, tower, samples, parts)
    assert store.holdings([samples[3]])[0] == parts - {MASK}
    again = extract(store, tower, samples, parts)
    assert (again.encoded, again.already_there, len(tower.encoded)) == (0, 5, 6)
    assert [error.path for error in again.failed] == [samples[3].mask]


def test_a_mask_of_another_size_than_its_picture_is_refused(store, samples, tower, parts) -> None:
    Image.new("L", (24, 21), 255).save(samples[1].mask)
    report = extract(store, tower, samples, parts)
    assert [error.path for error in report.failed] == [samples[1].mask]


def test_strict_stops_at_the_first_bad_picture_and_keeps_what_was_done(store, samples, tower, parts) -> None:
    samples[3].image.write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"003.png"):
        extract(store, tower, samples, parts, batch_size=1, strict=True)
    assert len(Store.open(store.folder)) == 3


def test_features_that_float16_cannot_hold_fail_their_picture_alone(store, samples, tower) -> None:
    original = tower.encode
    order = iter([1.0, 1e9, float("nan"), 1.0, 1.0, 1.0])

    def encode(pictures, parts):
        import torch

        given = original(pictures, parts)
        factors = torch.tensor([next(order) for _ in pictures])
        return {part: features * factors[:, None] for part, features in given.items()}

    tower.encode = encode
    report = extract(store, tower, samples, {CLS}, batch_size=3)
    assert report.encoded == 4
    assert [error.path.name for error in report.failed] == ["001.png", "002.png"]
    assert "not finite in float16" in str(report.failed[0])


@pytest.mark.parametrize("reason", [KeyboardInterrupt, SystemExit, MemoryError])
def test_a_stopped_run_keeps_what_it_encoded_and_the_next_goes_on_from_there(
    store, samples, tower, parts, reason
) -> None:
    def stop(count: int) -> None:
        if count == 4:
            raise reason

    tower.before = stop
    with pytest.raises(reason):
        extract(store, tower, samples, parts, batch_size=2)
    tower.before = lambda count: None
    fresh = Store.open(store.folder)
    assert len(fresh) == 4
    report = extract(fresh, tower, samples, parts)
    assert (report.encoded, report.already_there) == (2, 4)
    assert len(tower.encoded) == 6


def test_a_picture_that_changes_while_it_is_read_is_not_taken(store, samples, tower) -> None:
    prepare = tower.prepare

    def changing(image):
        samples[0].image.write_bytes(samples[1].image.read_bytes() + b" ")
        return prepare(image)

    tower.prepare = changing
    (error,) = extract(store, tower, samples[:1], {CLS}).failed
    assert "was changed while it was read" in str(error)
    assert len(store) == 0


def test_a_plan_says_what_an_extraction_would_do(store, samples, tower, parts, spec) -> None:
    nothing = plan(None, samples, parts, spec)
    assert nothing == plan(store, samples, parts, spec)
    assert (nothing.pictures, set(nothing.parts)) == (6, parts)
    assert nothing.bytes == 6 * (2 * 6 + 2 * 2 * 16 * 8) + 3 * 12 * 16
    assert plan(None, samples, {MASK}, spec).pictures == 3
    extract(store, tower, samples[:4], parts)
    assert plan(store, samples, parts, spec).pictures == 2
    extract(store, tower, samples, parts)
    assert plan(store, samples, parts, spec) == plan(store, [], parts, spec)


def test_a_second_interruption_leaves_no_complaint_of_a_forgotten_thread_pool(
    store, samples, tower, parts, monkeypatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    complaints: list[object] = []
    original = ThreadPoolExecutor.__exit__

    def interrupted(self: ThreadPoolExecutor, *given: object) -> bool | None:
        original(self, *given)
        raise KeyboardInterrupt

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.unraisablehook", complaints.append)
    monkeypatch.setattr(ThreadPoolExecutor, "__exit__", interrupted)
    tower.before = stop
    with pytest.raises(KeyboardInterrupt):
        extract(store, tower, samples, parts, batch_size=2)
    assert complaints == []
    assert Store.open(store.folder).verify() == []


@pytest.mark.skipif(os.name == "nt", reason="a folder cannot be forced to the disk")
def test_what_is_there_already_is_forced_to_the_disk_before_it_is_reported(
    store, samples, tower, parts, monkeypatch
) -> None:
    extract(store, tower, samples, parts)
    forced = []
    monkeypatch.setattr("stackclip.cache.folders.sync_folder", forced.append)
    assert extract(Store.open(store.folder), tower, samples, parts).already_there == 6
    assert forced == [store.folder / "segments"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EINVAL])
def test_a_medium_that_cannot_be_written_to_has_nothing_to_force(
    store, samples, tower, parts, monkeypatch, number
) -> None:
    extract(store, tower, samples, parts)
    monkeypatch.setattr("stackclip.cache.folders.sync_folder", _failing(number))
    assert extract(store, tower, samples, parts).already_there == 6


def test_a_disk_that_fails_is_not_said_to_hold_anything(store, samples, tower, parts, monkeypatch) -> None:
    extract(store, tower, samples, parts)
    monkeypatch.setattr("stackclip.cache.folders.sync_folder", _failing(errno.EIO))
    with pytest.raises(StoreError, match=r"cannot force .* to the disk: Input/output error; mend it and run again"):
        extract(store, tower, samples, parts)


def _failing(number):
    def fail(folder):
        raise OSError(number, os.strerror(number))

    return fail


def test_views_are_parts_of_their_own_and_each_is_seen_before_it_is_prepared(store, samples, tower) -> None:
    turned, tile = Part("cls", view="rot90"), Part("patch", 1, "tile2x2-3")
    report = extract(store, tower, samples, {CLS, turned, tile, MASK}, batch_size=4)
    assert (report.encoded, report.failed) == (6, ())
    for sample, own, other, corner in zip(
        samples, *(store.read(samples, part) for part in (CLS, turned, tile)), strict=True
    ):
        pixels = np.asarray(Image.open(sample.image))
        for view, found, part in (("", own, CLS), ("rot90", other, CLS), ("tile2x2-3", corner, patch(1))):
            shown = Image.fromarray(
                pixels[10:, :12] if "tile" in view else seen_pixels(pixels, view) if view else pixels
            )
            wanted = tower.encode(torch.from_numpy(tower.prepare(shown))[None], [part])[part][0]
            np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert not np.array_equal(store.read(samples, CLS), store.read(samples, turned))
    again = Store.open(store.folder)
    assert again.parts == {CLS, turned, tile, MASK}
    assert extract(again, tower, samples, {turned, tile}).already_there == 6


def test_only_the_views_that_are_lacking_are_prepared(store, samples, tower, monkeypatch) -> None:
    extract(store, tower, samples, {CLS})
    prepared = []
    monkeypatch.setattr(type(tower), "prepare", lambda self, image: prepared.append(1) or np.zeros((3, 16, 16), "f4"))
    extract(store, tower, samples, {CLS, Part("cls", view="rot45"), Part("cls", view="rot315")})
    assert len(prepared) == 12


def test_a_picture_is_decoded_once_for_all_its_tiles_and_they_go_through_the_tower_together(
    store, samples, tower, monkeypatch
) -> None:
    decoded, batches, encode = [], [], type(tower).encode
    read = preparation.read_picture
    monkeypatch.setattr(preparation, "read_picture", lambda path, *rest: decoded.append(path) or read(path, *rest))
    monkeypatch.setattr(type(tower), "encode", lambda self, p, parts: batches.append(len(p)) or encode(self, p, parts))
    tiling = Tiling(rows=3, columns=3)
    extract(store, tower, samples, tiling.parts({CLS, patch(1)}), batch_size=4)
    assert sorted(decoded) == sorted(sample.image for sample in samples)
    assert batches == [4, 4, 1] * len(samples)
    for sample in samples:
        pixels = Image.open(sample.image).convert("RGB")
        for view in tiling.views:
            wanted = encode(tower, torch.from_numpy(tower.prepare(seen(pixels, view)))[None], [CLS])[CLS][0]
            np.testing.assert_allclose(store.read([sample], Part("cls", view=view))[0], wanted, atol=2e-3)


def test_every_picture_and_mask_is_decoded_once_for_all_parts_views_and_tiles(
    store, samples, tower, parts, monkeypatch
) -> None:
    decoded, load = [], ImageFile.load
    monkeypatch.setattr(ImageFile, "load", lambda self: (decoded.append(self) if self.tile else None, load(self))[1])
    wanted = parts | Tiling(rows=2, columns=2).parts(parts - {MASK}) | {Part("cls", view="rot45")}
    assert extract(store, tower, samples, wanted, batch_size=3).encoded == len(samples)
    assert len(decoded) == len(samples) + sum(sample.mask is not None for sample in samples)


@pytest.mark.parametrize(("views", "most"), [(1, 13), (6, 2), (40, 2)])
def test_fewer_pictures_are_prepared_ahead_where_each_has_many_views(store, samples, tower, views, most) -> None:
    waiting = [0]

    class Counted(type(tower)):
        def prepare(self, image):
            waiting[0] += 1
            return super().prepare(image)

    many = [(sample, Tiling(rows=views, columns=1).parts({CLS})) for sample in samples * 4]
    with closing(preparation.prepared_ahead(store, Counted(), many, workers=2, ahead=8)) as prepared:
        next(prepared)
        sleep(0.2)
        assert waiting[0] <= views * (most + 1)
        assert waiting[0] >= views


def test_keyword_arguments_are_the_fields_of_the_manner() -> None:
    assert {field.name for field in fields(Manner)} == set(ExtractOptions.__annotations__)


def test_a_tower_is_built_before_time_counts(store, samples, tower, monkeypatch) -> None:
    clock, told = [0.0], []
    extraction = sys.modules[extract.__module__]
    monkeypatch.setattr(extraction, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def encode(self, pictures, parts):
        assert clock[0] >= 100
        clock[0] += 1
        return plainly(self, pictures, parts)

    plainly = type(tower).encode
    monkeypatch.setattr(type(tower), "encode", encode)
    monkeypatch.setattr(type(tower), "build", lambda self: clock.__setitem__(0, clock[0] + 100), raising=False)
    done = extract(store, tower, samples, {CLS}, batch_size=2, progress=lambda *_: told.append(clock[0]))
    assert min(told) >= 100
    assert done.seconds == 3
    assert extract(store, tower, samples, {CLS}).seconds == 0
    assert clock[0] == 103  # nothing is built where nothing is lacking
    assert extract(store, tower, samples, {CLS, MASK}).encoded
    assert clock[0] == 103  # nor for masks
