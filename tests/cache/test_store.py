"""What a store holds, and that no damaged byte of it is taken for a feature."""

from __future__ import annotations

import errno
import io
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackclip.cache import Store, extract, stores_in
from stackclip.data.masks import read_mask
from stackclip.errors import CorruptStore, FingerprintMismatch, MissingParts, PictureError, StackclipError, StoreError
from stackclip.types import CLS, MASK, Part, Sample, TowerSpec, patch

NEAREST = Part("mask-nearest")


def expected(tower: object, samples: list[Sample], part: Part) -> np.ndarray:
    """What the tower gives, without any store."""
    import torch
    from PIL import Image

    pictures = torch.from_numpy(np.stack([tower.prepare(Image.open(sample.image)) for sample in samples]))
    return tower.encode(pictures, [part])[part].to(torch.float16).numpy()


def read_all(store: Store, samples: list[Sample], parts: frozenset[Part]) -> None:
    for part in parts:
        if part == MASK:
            store.masks(samples)
        else:
            store.read(samples, part)


def test_what_was_encoded_is_read_back_bit_for_bit(filled, new_store, samples, tower) -> None:
    for store in (filled, new_store()):
        for part in (CLS, patch(1), patch(2)):
            features = store.read(samples, part)
            assert features.dtype == np.float16
            np.testing.assert_array_equal(features, expected(tower, samples, part))
            np.testing.assert_array_equal(store.read(samples[::-2], part), features[::-2])


def test_masks_are_those_of_the_files_at_the_towers_size(filled, samples) -> None:
    masks = filled.masks(samples)
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, [read_mask(sample, 16) for sample in samples])
    assert filled.runs(samples[1])[:, 2].max() == 2
    assert filled.runs(samples[0]).shape == (0, 3)


def test_a_mask_can_be_kept_by_the_other_rule_too(filled, samples, tower) -> None:
    extract(filled, tower, samples, {NEAREST})
    np.testing.assert_array_equal(
        filled.masks(samples, NEAREST), [read_mask(sample, 16, rule="nearest") for sample in samples]
    )
    np.testing.assert_array_equal(filled.masks(samples), [read_mask(sample, 16) for sample in samples])


def test_a_sample_without_a_mask_file_holds_its_mask_by_definition(store, samples) -> None:
    not_localised = replace(samples[1], mask=None)
    assert store.holdings([samples[0], not_localised, samples[1]]) == [{MASK, NEAREST}, {MASK, NEAREST}, set()]
    assert not store.masks([samples[0], not_localised]).any()


def test_batches_come_in_order_whatever_is_read_ahead(filled, samples) -> None:
    order = [samples[index] for index in (5, 0, 3, 3, 1)]
    batches = list(filled.batches(order, (patch(2), MASK), batch_size=2, threads=3))
    assert [len(batch) for batch, _ in batches] == [2, 2, 1]
    assert [sample for batch, _ in batches for sample in batch] == order
    np.testing.assert_array_equal(
        np.concatenate([features[patch(2)] for _, features in batches]), filled.read(order, patch(2))
    )
    np.testing.assert_array_equal(np.concatenate([features[MASK] for _, features in batches]), filled.masks(order))


def test_what_is_lacking_is_named_with_the_command_that_makes_it(filled, samples) -> None:
    assert filled.lacking(samples, {CLS, patch(1)}) == ()
    assert filled.lacking(samples[:1], {CLS, patch(3)}) == ((samples[0], frozenset({patch(3)})),)
    with pytest.raises(MissingParts, match=r"lacks patch/3 of 2 of 2 pictures, screws/000.png .*stackclip cache-feat"):
        filled.read(samples[:2], patch(3))
    with pytest.raises(StoreError, match=r"no store holds patch/4: .* it gives cls, patch/1 to patch/3"):
        filled.read(samples[:2], patch(4))


def test_a_picture_is_known_by_its_content_alone(filled, samples, tower, make_samples, tmp_path) -> None:
    os.utime(samples[0].image)
    renamed = replace(samples[1], id="other.png", image=samples[1].image.rename(tmp_path / "other.png"))
    moved = make_samples(6, root=tmp_path / "elsewhere")[2]
    elsewhere = replace(samples[3], dataset="bolts", category="short", id="x/y.png")
    everyone = [samples[0], renamed, moved, elsewhere]
    assert filled.lacking(everyone, {CLS, patch(1), MASK}) == ()
    np.testing.assert_array_equal(filled.read(everyone, CLS), expected(tower, everyone, CLS))


def test_a_changed_picture_is_another_picture(filled, samples) -> None:
    shutil.copyfile(samples[4].image, samples[0].image)
    np.testing.assert_array_equal(filled.read([samples[0]], CLS), filled.read([samples[4]], CLS))
    data = bytearray(samples[0].image.read_bytes())
    data[-20] ^= 1
    samples[0].image.write_bytes(data)
    assert filled.lacking([samples[0]], {CLS}) == ((samples[0], frozenset({CLS})),)


def test_a_picture_that_cannot_be_read_holds_nothing_and_says_why(filled, samples, tmp_path) -> None:
    gone = replace(samples[0], id="gone.png", image=tmp_path / "gone.png")
    os.mkfifo(tmp_path / "pipe.png")
    pipe = replace(samples[0], id="pipe.png", image=tmp_path / "pipe.png")
    assert filled.holdings([gone, pipe]) == [{MASK, NEAREST}] * 2
    with pytest.raises(PictureError, match=r"gone.png: No such file"):
        filled.read([gone], CLS)
    with pytest.raises(PictureError, match=r"pipe.png: is no regular file"):
        filled.read([pipe], CLS)


def test_a_name_that_is_no_text_is_kept_all_the_same(store, samples, tower) -> None:
    odd = replace(samples[0], id="bad\udcff name é.png")
    extract(store, tower, [odd], {CLS})
    assert Store.open(store.folder).lacking([odd], {CLS}) == ()


def test_reading_needs_no_right_to_write(filled, samples, parts, new_store) -> None:
    folders = [filled.folder, filled.folder / "segments"]
    before = {path: path.stat().st_mtime_ns for path in filled.folder.rglob("*")}
    for folder in folders:
        folder.chmod(0o555)
    try:
        store = Store.open(filled.folder)
        read_all(store, samples, parts)
        assert store.verify() == []
        assert extract(store, None, samples, parts).already_there == 6
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert {path: path.stat().st_mtime_ns for path in filled.folder.rglob("*")} == before


def test_a_store_goes_to_another_process_by_name(filled, samples, parts) -> None:
    copy = pickle.loads(pickle.dumps(filled))
    read_all(copy, samples, parts)
    assert copy.folder == filled.folder


def test_a_forked_process_reads_and_checks_for_itself(filled, samples, parts) -> None:
    read_all(filled, samples, parts)
    segment = filled.folder / "segments" / "000001.h5"
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1  # of the last patch token; this process has checked it already
    segment.write_bytes(data)
    child = os.fork()
    if child == 0:
        try:
            read_all(filled, samples, parts)
        except CorruptStore:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_any_flipped_bit_is_noticed(filled, samples, parts) -> None:
    random = np.random.default_rng(0)
    truth = {part: filled.read(samples, part) for part in parts - {MASK}}
    derived = {"writer.lock", "sources.bin"}
    for path in sorted(path for path in filled.folder.rglob("*.*") if path.name not in derived):
        data = path.read_bytes()
        for position in random.choice(len(data), min(len(data), 120), replace=False):
            flipped = bytearray(data)
            flipped[position] ^= 1 << random.integers(8)
            path.write_bytes(flipped)
            assert notices(filled.folder, samples, parts), f"{path.name} byte {position}"
        path.write_bytes(data)
    store = Store.open(filled.folder)
    for part, features in truth.items():
        np.testing.assert_array_equal(store.read(samples, part), features)


@pytest.mark.parametrize("name", ["store.json", "segments/000001.json", "segments/000001.h5"])
def test_a_file_that_is_cut_zeroed_empty_gone_or_no_file_is_noticed(filled, samples, parts, name) -> None:
    path = filled.folder / name
    data = path.read_bytes()
    for damaged in (b"", data[:-1], data[: len(data) // 2], data + b"\0", bytes(len(data)), data[:512] + bytes(512)):
        path.write_bytes(damaged)
        assert notices(filled.folder, samples, parts)
    path.unlink()
    assert notices(filled.folder, samples, parts)
    os.mkfifo(path)
    assert notices(filled.folder, samples, parts)


def notices(folder: Path, samples: list[Sample], parts: frozenset[Part]) -> bool:
    """Whether opening or reading tells, in one line, that something is wrong."""
    try:
        read_all(Store.open(folder), samples, parts)
    except StackclipError as error:
        return "\n" not in str(error)
    return False


def test_a_damaged_segment_takes_only_its_own_pictures_with_it(filled, samples, tower, make_samples, tmp_path) -> None:
    more = make_samples(2, root=tmp_path / "more", dataset="more", seed=1)
    extract(filled, tower, more, {CLS})
    segment = filled.folder / "segments" / "000001.h5"
    segment.write_bytes(segment.read_bytes()[:-1])
    store = Store.open(filled.folder)
    (problem,) = store.problems
    assert str(problem).endswith("(it held 9 records)")
    assert "000001.h5: has" in str(problem)
    np.testing.assert_array_equal(store.read(more, CLS), expected(tower, more, CLS))
    with pytest.raises(CorruptStore, match=r"000001.h5: has .* it holds cls of screws/000.png. Run: stackclip repair"):
        store.read(samples, CLS)
    assert len(store.lacking(samples, {CLS})) == 6


def test_encoding_again_heals_a_damaged_segment(filled, samples, tower, parts) -> None:
    segment = filled.folder / "segments" / "000001.h5"
    segment.write_bytes(segment.read_bytes()[:-1])
    store = Store.open(filled.folder)
    assert extract(store, tower, samples, parts).encoded == 6
    read_all(store, samples, parts)
    read_all(Store.open(filled.folder), samples, parts)


def test_verify_finds_and_repair_drops_what_only_reading_would_show(filled, samples, tower, parts) -> None:
    extract(filled, tower, samples, {patch(3)})
    segment = filled.folder / "segments" / "000002.h5"
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    store = Store.open(filled.folder)
    assert store.problems == ()
    seen = []
    (problem,) = store.verify(lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert "000002.h5: patch/3 of screws/005.png is not what was written" in str(problem)
    assert store.repair() == [problem]
    assert sorted(path.name for path in (filled.folder / "segments").iterdir()) == ["000001.h5", "000001.json"]
    assert store.verify() == []
    read_all(store, samples, parts)
    assert extract(store, tower, samples, {*parts, patch(3)}).encoded == 6
    np.testing.assert_array_equal(store.read(samples, patch(3)), expected(tower, samples, patch(3)))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_repair_drops_nothing_that_could_not_be_read_at_a_moment(filled, monkeypatch, number) -> None:
    original, failures = io.FileIO, [number]

    def refuse(*given: object) -> io.FileIO:
        if failures:
            raise OSError(failures.pop(), "refused")
        return original(*given)

    with monkeypatch.context() as patched:
        patched.setattr(io, "FileIO", refuse)
        assert filled.repair() == []
    assert failures == []
    assert filled.verify() == []


def test_repair_stops_before_it_drops_what_it_may_not_read(filled, monkeypatch) -> None:
    path = filled.folder / "segments" / "000001.h5"
    original = Path.open

    def refuse(self: Path, *given: object, **named: object) -> object:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(self, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        with pytest.raises(StoreError, match=r"cannot read .*000001.h5: Permission denied; .*: nothing was dropped"):
            filled.repair()
    assert Store.open(filled.folder).verify() == []


def test_a_lock_that_is_a_link_is_not_followed(filled, tmp_path) -> None:
    mine, lock = tmp_path / "mine", filled.folder / "writer.lock"
    mine.write_text("precious")
    lock.unlink()
    lock.symlink_to(mine)
    with pytest.raises(StoreError, match="cannot write to"):
        filled.writer().__enter__()
    assert mine.read_text() == "precious"


def test_repair_drops_a_segment_whose_manifest_is_damaged(filled, samples, parts) -> None:
    (filled.folder / "segments" / "000001.json").write_text("{}")
    store = Store.open(filled.folder)
    assert str(store.problems[0]).endswith("(what it held is unknown)")
    with pytest.raises(MissingParts, match="1 of its segments is damaged or withheld"):
        store.read(samples, CLS)
    store.repair()
    assert list((filled.folder / "segments").iterdir()) == []
    assert store.problems == ()


def test_a_lost_store_json_is_written_again_and_the_segments_serve_on(filled, samples, parts, new_store) -> None:
    (filled.folder / "store.json").write_text("{")
    with pytest.raises(
        CorruptStore, match=r"store.json: its checksum .* Delete that file and run stackclip cache-feat"
    ):
        new_store()
    (filled.folder / "store.json").unlink()
    with pytest.raises(StoreError, match="is no feature store"):
        Store.open(filled.folder)
    read_all(new_store(), samples, parts)


def test_a_store_of_a_later_format_is_refused_in_one_line(store) -> None:
    from stackclip.cache.manifest import read_sealed
    from stackclip.ops.seals import sealed

    facts = store.folder / "store.json"
    facts.write_bytes(sealed({**read_sealed(facts), "format": 4}))
    with pytest.raises(StoreError, match="has the format 4, this stackclip reads 1, 2, 3"):
        Store.open(store.folder)


def test_segments_of_another_store_are_refused(filled, samples, tmp_path, spec, fingerprint) -> None:
    other = Store.create(tmp_path / "cache", {**fingerprint, "semantics": 2}, spec=spec, recorded={})
    for path in (filled.folder / "segments").iterdir():
        shutil.copy(path, other.folder / "segments")
    other.refresh()
    assert "belongs to another store" in str(other.problems[0])
    assert other.lacking(samples[:1], {CLS})


def test_a_fingerprint_stands_for_one_set_of_sizes(store, tmp_path, spec: TowerSpec, fingerprint) -> None:
    with pytest.raises(FingerprintMismatch, match="whose width is 8, wanted 9"):
        Store.create(tmp_path / "cache", fingerprint, spec=replace(spec, width=9), recorded={})


def test_a_reader_sees_what_another_process_commits_and_drops(store, samples, tower, parts, new_store) -> None:
    reader = new_store()
    extract(store, tower, samples[:4], parts)
    assert len(reader.lacking(samples, parts)) == 6
    reader.refresh()
    assert len(reader.lacking(samples, parts)) == 2
    for path in (store.folder / "segments").iterdir():
        path.unlink()
    with pytest.raises(CorruptStore, match="No such file"):
        reader.read(samples[:4], CLS)
    reader.refresh()
    assert len(reader.lacking(samples, parts)) == 6


def test_a_segment_that_took_the_name_of_a_dropped_one_is_not_read_as_that_one(
    filled, samples, tower, make_samples, tmp_path, new_store
) -> None:
    reader = new_store()
    reader.read(samples, CLS)  # and so every row is checked
    for path in (filled.folder / "segments").iterdir():
        path.unlink()
    others = make_samples(6, root=tmp_path / "others", dataset="others", seed=1)
    extract(new_store(), tower, others, {CLS, patch(1), patch(2)})
    assert (filled.folder / "segments" / "000001.h5").exists()
    with pytest.raises(CorruptStore):
        reader.read(samples, CLS)
    reader.refresh()
    np.testing.assert_array_equal(reader.read(others, CLS), expected(tower, others, CLS))
    assert len(reader.lacking(samples, {CLS})) == 6


def test_a_store_knows_its_size_and_its_neighbours(filled, tmp_path, parts, spec) -> None:
    assert filled.size_bytes == (filled.folder / "segments" / "000001.h5").stat().st_size
    assert (len(filled), filled.parts) == (6, parts)
    assert filled.spec == spec
    assert stores_in(tmp_path / "cache") == (filled.folder,)
    assert stores_in(tmp_path / "nothing") == ()


def test_reading_brings_no_torch(filled) -> None:
    code = "import sys, pathlib, stackclip.cache as cache; cache.Store.open(pathlib.Path(sys.argv[1]))"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(filled.folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EMFILE, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE]
)
def test_what_the_system_withholds_is_not_called_damaged(
    filled, samples, tower, parts, monkeypatch, caplog, number
) -> None:
    """Each file of the store, refused when it is opened: one line that names it, and nothing to delete or repair."""
    for name in ("store.json", "segments/000001.json", "segments/000001.h5"):
        refused, messages = filled.folder / name, []
        caplog.clear()
        with monkeypatch.context() as patched:
            _refuse_to_open(patched, refused, number)
            with pytest.raises(StoreError) as raised:
                extract(Store.open(filled.folder), tower, samples, {*parts, patch(3)})
            messages += [str(raised.value), *(record.getMessage() for record in caplog.records)]
            with pytest.raises(StoreError) as raised:
                filled.repair()
            messages.append(str(raised.value))
        for message in messages:
            assert str(refused) in message
            assert os.strerror(number) in message
            assert not any(word in message for word in ("Delete", "damaged", "stackclip repair", "\n"))
    assert Store.open(filled.folder).verify() == []
    assert len(tower.encoded) == 6


def _refuse_to_open(patched: pytest.MonkeyPatch, refused: Path, number: int) -> None:
    def guarded(real: object) -> object:
        def open_or_refuse(path: object, *given: object, **named: object) -> object:
            if not isinstance(path, int) and Path(path) == refused:
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *given, **named)

        return open_or_refuse

    patched.setattr(os, "open", guarded(os.open))
    patched.setattr(Path, "open", guarded(Path.open))
    patched.setattr(io, "FileIO", guarded(io.FileIO))


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_read_that_fails_half_way_is_not_called_damage(filled, samples, monkeypatch, number) -> None:
    from stackclip.cache import reader, structure

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    for module in (reader, structure):
        with monkeypatch.context() as patched:
            patched.setattr(module, "read_exactly", refuse)
            with pytest.raises(StoreError, match=r"cannot read .*000001.h5: ") as raised:
                Store.open(filled.folder).read(samples, CLS)
            assert "repair" not in str(raised.value)


def test_a_folder_that_may_not_be_looked_into_is_not_an_empty_one(filled, tmp_path, monkeypatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", refuse)
        with pytest.raises(StoreError, match=r"cannot read .*cache: Permission denied; give yourself the right"):
            stores_in(tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", lambda path, **_: refuse(path))
        with pytest.raises(StoreError, match=r"cannot read .*store.json: Permission denied"):
            stores_in(tmp_path / "cache")
