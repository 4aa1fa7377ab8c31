"""Segments are plain HDF5, and a hostile HDF5 file is refused before anything in it is read."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from blake3 import blake3

from stackclip.cache import Store, extract
from stackclip.cache.manifest import Manifest, read_sealed
from stackclip.errors import CorruptStore
from stackclip.ops.seals import sealed
from stackclip.types import CLS, MASK, Sample, patch


def test_a_segment_is_readable_with_plain_h5py(filled: Store, samples: list[Sample]) -> None:
    with h5py.File(filled.folder / "segments" / "000001.h5") as file:
        keys = [key.decode() for key in file["records/key"]]
        assert keys.count("screws/001.png") == 2  # its picture and its mask
        features = file["patch/2/features"]
        assert features.chunks is None
        assert features.dtype == np.float16
        for row, record in enumerate(file["patch/2/record"]):
            sample = next(sample for sample in samples if sample.key == keys[record])
            np.testing.assert_array_equal(features[row], filled.read([sample], patch(2))[0])
        offsets = file["mask/offsets"][:]
        runs = file["mask/runs"][offsets[0] : offsets[1]]
        np.testing.assert_array_equal(runs, filled.runs(samples[1]))


def test_every_array_begins_at_an_aligned_place_behind_the_metadata(filled: Store) -> None:
    manifest = Manifest.read(filled.folder / "segments/000001.json", fingerprint=filled.digest, spec=filled.spec)
    assert set(manifest.extents) == {CLS, patch(1), patch(2), MASK}
    assert all(extent.offset % 64 == 0 for extent in manifest.extents.values())


def forge(store: Store, change: Callable[[h5py.File], object]) -> None:
    """Rewrite a segment as someone would who makes every checksum fit; the arrays' places stay as they were."""
    path = store.folder / "segments" / "000001.h5"
    with h5py.File(path, "r+") as file:
        change(file)
    data = path.read_bytes()
    content = {**read_sealed(path.with_suffix(".json")), "size": len(data)}
    frame, end = blake3(), 0
    for extent in Manifest._parsed(content, store.spec, store.feature_dtype).extents.values():
        frame.update(data[end : extent.offset])
        end = extent.offset + extent.size
    frame.update(data[end:])
    path.with_suffix(".json").write_bytes(sealed({**content, "frame": frame.hexdigest()}))


def replaced(name: str, **how: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        values = file[name][...]
        del file[name]
        file.create_dataset(name, **{"data": values, **how})

    return change


def linked(name: str, link: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.move(name, "aside")
        file[name] = link

    return change


def external(file: h5py.File) -> None:
    values = file["cls/features"][...]
    del file["cls/features"]
    place = [(str(Path(file.filename).with_name("secret.bin")), 0, values.nbytes)]
    file.create_dataset("cls/features", values.shape, values.dtype, external=place)


def virtual(file: h5py.File) -> None:
    shape, dtype = file["cls/features"].shape, file["cls/features"].dtype
    del file["cls/features"]
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource("secret.h5", "data", shape)
    file.create_virtual_dataset("cls/features", layout)


def looped(file: h5py.File) -> None:
    file["patch/1/record2"] = file["patch"]


def misplaced(file: h5py.File) -> None:
    values = file["cls/features"][...]
    file.move("cls/features", "patch/1/aside")
    file["cls/features"] = values
    del file["patch/1/aside"]


ELSEWHERE, STRANGE = "is a link to another place", "is not stored plainly in this file"
HOSTILE: dict[str, tuple[str, Callable[[h5py.File], object]]] = {
    "a soft link": (ELSEWHERE, linked("cls/features", h5py.SoftLink("/patch/1/features"))),
    "a soft link to itself": (ELSEWHERE, linked("cls/record", h5py.SoftLink("/cls/record"))),
    "an external link": (ELSEWHERE, linked("cls/features", h5py.ExternalLink("/etc/passwd", "/"))),
    "an external link for a group": (ELSEWHERE, linked("patch", h5py.ExternalLink("other.h5", "/patch"))),
    "external storage": (STRANGE, external),
    "a virtual data set": (STRANGE, virtual),
    "a filter": (STRANGE, replaced("cls/features", compression="gzip")),
    "a checksum filter": (STRANGE, replaced("cls/xxh3", fletcher32=True, chunks=(6,))),
    "chunks": (STRANGE, replaced("cls/features", chunks=(1, 6))),
    "another type": ("wanted float16", replaced("cls/features", dtype="<i2")),
    "the other byte order": ("wanted float16", replaced("cls/features", dtype=">f2")),
    "another shape": ("wanted float16", lambda file: replaced("cls/features", data=file["cls/features"][:-1])(file)),
    "another place": ("lies at", misplaced),
    "fewer hashes": ("wanted uint64", lambda file: replaced("cls/xxh3", data=file["cls/xxh3"][:-1])(file)),
    "a text of any length": ("wanted .S14", replaced("records/key", dtype=h5py.string_dtype())),
    "one name more": ("/cls holds features, more", lambda file: file.create_dataset("cls/more", data=1)),
    "a group in itself": ("/patch/1 holds features, record, record2", looped),
    "a type in place of a data set": ("is no data set", linked("cls/record", np.dtype("<u4"))),
    "a group in place of a data set": ("is no data set", lambda file: linked("cls/record", file["patch"])(file)),
    "a data set in place of a group": ("is no group", lambda file: linked("cls", file["cls/record"])(file)),
    "runs that do not add up": (
        "do not cover its runs",
        lambda file: file["mask/offsets"].write_direct(np.array([0, 90, 30, 40], np.uint64)),
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_though_all_its_checksums_fit(
    filled: Store, samples: list[Sample], what: str
) -> None:
    reason, change = HOSTILE[what]
    with h5py.File(filled.folder / "segments" / "000001.h5", "r+") as file:
        named = set(file)
    forge(filled, change)
    with h5py.File(filled.folder / "segments" / "000001.h5", "r+") as file:
        if set(file) - named:
            del file["aside"]  # what the link or the other thing replaced
    forge(filled, lambda file: None)
    store = Store.open(filled.folder)
    assert store.problems == ()
    with pytest.raises(CorruptStore, match=rf"000001.h5: is not the HDF5 file that was written.*{reason}") as raised:
        store.read(samples, CLS)
    assert "\n" not in str(raised.value)


HOSTILE_CODES: dict[str, tuple[str, Callable[[h5py.File], object]]] = {
    "codes of another sign": ("is uint8 .* wanted int8", replaced("patch/1/features", dtype="u1")),
    "float16 in place of codes": ("is float16 .* wanted int8", replaced("patch/1/features", dtype="<f2")),
    "a scale too few": (
        r"is int8 \(6, 151\), wanted int8 \(6, 152\)",
        lambda file: replaced("patch/1/features", data=file["patch/1/features"][:, 1:])(file),
    ),
    "codes laid out as tokens": (
        r"is int8 \(6, 19, 8\), wanted int8 \(6, 152\)",
        lambda file: replaced("patch/1/features", data=file["patch/1/features"][...].reshape(6, 19, 8))(file),
    ),
    "compressed codes": (STRANGE, replaced("patch/1/features", compression="gzip")),
    "class tokens as codes": ("wanted float16", replaced("cls/features", dtype="i1")),
}


@pytest.mark.parametrize("what", HOSTILE_CODES)
def test_a_hostile_file_of_codes_is_refused_though_all_its_checksums_fit(
    tmp_path: Path, fingerprint, spec, samples: list[Sample], tower, parts, what: str
) -> None:
    reason, change = HOSTILE_CODES[what]
    coded = Store.create(tmp_path / "coded", fingerprint, spec=spec, recorded={}, dtype="int8")
    extract(coded, tower, samples, parts)
    forge(coded, lambda file: None)
    assert Store.open(coded.folder).read(samples, patch(1)).shape == (6, 16, 8)
    forge(coded, change)
    with pytest.raises(CorruptStore, match=rf"is not the HDF5 file that was written.*{reason}"):
        Store.open(coded.folder).read(samples, patch(1))


@pytest.mark.parametrize("shape", [[6, 16, 8], [6, 151], [6, 128], [5, 152], [6, 152, 1]])
def test_a_manifest_of_an_int8_store_tells_of_codes(
    tmp_path: Path, fingerprint, spec, samples: list[Sample], tower, shape: list[int]
) -> None:
    coded = Store.create(tmp_path / "coded", fingerprint, spec=spec, recorded={}, dtype="int8")
    extract(coded, tower, samples, {patch(1)})
    path = coded.folder / "segments" / "000001.json"
    content = read_sealed(path)
    content["parts"]["patch/1"]["shape"] = shape
    path.write_bytes(sealed(content))
    (problem,) = Store.open(coded.folder).problems
    assert "its facts do not fit together" in str(problem)


def test_a_rewritten_segment_with_fitting_checksums_passes(filled: Store, samples: list[Sample]) -> None:
    before = filled.read(samples, CLS)
    forge(filled, lambda file: file.attrs.create("note", 1))
    np.testing.assert_array_equal(Store.open(filled.folder).read(samples, CLS), before)


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": 1.5},
        {"format": 2},
        {"frame": "../.."},
        {"parts": {}},
        {"parts": None},
        {"records": [{}]},
        {"parts": {"cls": {"offset": 0, "shape": [10**9, 6]}}},
        {"parts": {"cls": {"offset": 0, "shape": [6, 7]}}},
        {"parts": {"pixels": {"offset": 0, "shape": [6, 7]}}},
        {"parts": {"patch/-1": {"offset": 0, "shape": [6, 7]}}},
    ],
)
def test_a_manifest_whose_facts_contradict_each_other_is_a_problem_of_its_own(filled: Store, change) -> None:
    path = filled.folder / "segments" / "000001.json"
    path.write_bytes(sealed({**read_sealed(path), **change}))
    (problem,) = Store.open(filled.folder).problems
    assert "000001.json: " in str(problem)
    assert "\n" not in str(problem)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[" * 100_000, b'{"content": 1}', b'{"content": {"a": NaN}, "blake3": ""}']
)
def test_what_is_no_sealed_json_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "facts.json").write_bytes(data)
    with pytest.raises(CorruptStore, match=r"facts.json: its checksum does not fit its content"):
        read_sealed(tmp_path / "facts.json")


def test_each_segment_says_by_whom_it_was_written(
    store: Store, samples: list[Sample], tower, fingerprint, spec
) -> None:
    other = Store.create(store.folder.parent, fingerprint, spec=spec, recorded={"torch": "1", "device": "cuda"})
    extract(store, tower, samples[:2], {CLS})
    extract(other, tower, samples, {CLS})
    found = [read_sealed(store.folder / "segments" / f"00000{number}.json")["recorded"] for number in (1, 2)]
    host = socket.gethostname()
    assert found == [{"torch": "0", "host": host}, {"torch": "1", "device": "cuda", "host": host}]
    assert Store.open(store.folder).recorded == {"torch": "0"}


@pytest.mark.parametrize("facts", [{}, {"recorded": {}}, {"recorded": {"host": None}, "later": [1]}])
def test_manifests_of_other_versions_are_read(filled: Store, samples: list[Sample], facts: dict[str, object]) -> None:
    """Those of older ones record nothing of their writers, and newer ones may say more."""
    path = filled.folder / "segments" / "000001.json"
    content = read_sealed(path)
    del content["recorded"]
    path.write_bytes(sealed({**content, **facts}))
    fresh = Store.open(filled.folder)
    assert (fresh.problems, fresh.verify()) == ((), [])
    assert np.array_equal(fresh.read(samples, CLS), filled.read(samples, CLS))


def test_masks_without_any_run_are_kept(store: Store, samples: list[Sample]) -> None:
    source = store.source(samples[1], MASK)
    with store.writer() as writer:
        writer.add(source, {MASK: np.empty((0, 3), np.uint32)})
        writer.add(store.source(samples[0]), {CLS: np.ones(6, np.float16)})
    fresh = Store.open(store.folder)
    assert fresh.lacking(samples[1:2], {MASK}) == ()
    assert fresh.runs(samples[1]).shape == (0, 3)
    assert fresh.read(samples[:1], CLS).tolist() == [[1] * 6]
    assert fresh.verify() == []


def test_runs_that_leave_the_picture_are_refused(store: Store, samples: list[Sample]) -> None:
    with store.writer() as writer:
        writer.add(store.source(samples[1], MASK), {MASK: np.array([[0, 16 * 16 + 1, 1]], np.uint32)})
    with pytest.raises(CorruptStore, match="mask of screws/001"):
        store.masks(samples[1:2])


def test_hdf5_may_load_no_plugin() -> None:
    import os

    assert os.environ["HDF5_PLUGIN_PRELOAD"] == "::"
