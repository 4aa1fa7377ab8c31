"""Files that someone made to do harm are refused in one line, before they are believed."""

from __future__ import annotations

import json
import shutil
import struct
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackclip.cache import Store
from stackclip.cache.manifest import read_sealed
from stackclip.errors import CorruptStore, FingerprintMismatch, MissingParts, StackclipError, StoreError, WeightsError
from stackclip.heads import load_head
from stackclip.ops.seals import sealed
from stackclip.types import CLS

from . import victim
from .hostile import CRAFTED, behind_a_user_block, rewrite
from .lab import Lab
from .tally import Tally


@pytest.fixture
def segment(whole: Path, lab: Lab) -> Path:
    """The first segment of a store that may be changed."""
    root = lab.fresh()
    shutil.copytree(whole, root, dirs_exist_ok=True)
    (folder,) = root.iterdir()
    return folder / "segments" / "000001.h5"


def read_all(folder: Path, lab: Lab) -> list[str]:
    """Read everything of a store; the refusals. Anything else that is raised, or wrong, fails the test."""
    right, refused = victim.expected(lab.pictures), []
    store = Store.open(folder)
    refused += [str(problem) for problem in store.problems]
    for sample in victim.samples_in(lab.pictures):
        for part in victim.LATER:
            try:
                assert (victim.content(store, sample, part) == right[sample.key, part]).all()
            except (CorruptStore, MissingParts) as error:
                refused.append(str(error))
    return refused


@pytest.mark.parametrize("what", CRAFTED)
def test_a_crafted_segment_is_refused_in_one_line_and_the_others_serve(
    segment: Path, lab: Lab, tally: Tally, what: str
) -> None:
    CRAFTED[what](segment)
    refused = read_all(segment.parents[1], lab)
    orderly = bool(refused) and not any("\n" in line for line in refused)
    orderly &= any(segment.stem in line for line in refused)
    tally.counted("crafted files", "a file made to do harm", f"{what}: {refused}", messages=not orderly)
    assert orderly, refused
    assert Store.open(segment.parents[1]).verify()
    assert Store.open(segment.parents[1]).read(victim.samples_in(lab.pictures)[-1:], CLS).shape == (1, 6)


@pytest.mark.parametrize("how", [{"libver": "earliest"}, {"libver": "latest"}, {"libver": ("v110", "v110")}])
def test_the_same_tree_in_another_version_of_the_format_is_read(segment: Path, lab: Lab, how: dict[str, Any]) -> None:
    rewrite(segment, **how)
    assert read_all(segment.parents[1], lab) == []


def test_a_file_that_says_it_has_a_user_block_is_read_right_or_refused(segment: Path, lab: Lab) -> None:
    behind_a_user_block(segment)
    assert all("\n" not in line for line in read_all(segment.parents[1], lab))


@pytest.mark.parametrize("version", ["earliest", "v108"])
def test_changed_bytes_under_checksums_that_fit_are_refused_or_harmless(
    segment: Path, lab: Lab, tally: Tally, full: bool, version: str
) -> None:
    """The old format of HDF5 has no checksums of its own, so its reader and our guard see every change."""
    rewrite(segment, libver=(version, "v108"))
    fault, random = "mutated HDF5 with fitting checksums", Random(version)
    root, data = segment.parents[2], segment.read_bytes()
    figures = tally.of(fault, "one to four bytes of the metadata")
    arrays = json.loads(segment.with_suffix(".json").read_bytes())["content"]["parts"].values()
    first = min(part["offset"] for part in arrays if part["offset"])
    last = max(part["offset"] for part in arrays)
    places = [place for place in range(len(data)) if place < first or place > last + 600]
    for _ in range(6 if full else 1):
        plan = []
        for _ in range(170 if full else 40):
            start = random.choice(places)
            given = random.choice((b"\0", b"\xff", b"\xff" * 4, random.randbytes(1), random.randbytes(2), b"\1\0\0\0"))
            plan.append((str(segment.relative_to(root)), start, min(len(data), start + len(given)), given.hex()))
        root.with_name("plan").write_text(json.dumps(plan))
        ending = lab.run("forge", root, watched=False)
        figures.signals += ending.signal != 0 or ending.hung
        assert ending.answer is not None, ending
        for trial, outcome in zip(plan, ending.answer, strict=True):
            unmeant = bool(outcome["why"])
            tally.counted(fault, "", f"{trial}: {outcome}", silent=outcome["silent"], messages=unmeant)
    tally.require(fault)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_manifest_with_any_facts_and_a_right_checksum_is_taken_or_refused(
    whole: Path, lab: Lab, data: st.DataObject
) -> None:
    root = lab.fresh()
    shutil.copytree(whole, root, dirs_exist_ok=True)
    (folder,) = root.iterdir()
    segment = folder / "segments" / "000001.h5"
    content = read_sealed(segment.with_suffix(".json"))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=8,
    )
    place: Any = content
    while isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(anything)
            break
        place = place[key]
    try:
        segment.with_suffix(".json").write_bytes(sealed(content))
    except ValueError:  # no UTF-8, or no number that JSON has
        return
    try:
        refused = read_everything(folder, lab)
    finally:
        lab.drop(root)
    assert all("\n" not in line for line in refused)


def read_everything(folder: Path, lab: Lab) -> list[str]:
    """Read what a store offers, right or wrong; the refusals."""
    store = Store.open(folder)
    refused = [str(problem) for problem in store.problems]
    for sample in victim.samples_in(lab.pictures):
        for part in sorted(victim.LATER):
            try:
                victim.content(store, sample, part)
            except (CorruptStore, MissingParts) as error:
                refused.append(str(error))
    refused += map(str, store.verify())
    return refused


def test_no_file_outside_the_store_is_opened_or_changed(segment: Path, lab: Lab, tmp_path: Path) -> None:
    folder, mine = segment.parents[1], tmp_path / "mine"
    mine.write_text("precious")
    (folder / "writer.lock").unlink()
    (folder / "writer.lock").symlink_to(mine)
    with pytest.raises(StoreError, match="cannot write to"):
        Store.open(folder).writer().__enter__()
    with pytest.raises(StoreError):
        Store.open(folder).repair()
    (folder / "writer.lock").unlink()
    for name in ("notes.h5", ".notes.tmp", ".store.json.old.tmp"):
        (folder / "segments" / name).write_text("precious")
        (folder / name).write_text("precious")
    with Store.open(folder).writer():
        pass
    for place in (folder, folder / "segments"):
        assert {name for name in ("notes.h5", ".notes.tmp", ".store.json.old.tmp") if (place / name).exists()} != set()
        assert (place / "notes.h5").read_text() == "precious"
        assert (place / ".notes.tmp").read_text() == "precious"
    assert mine.read_text() == "precious"


def test_a_store_file_that_is_no_file_is_refused(segment: Path) -> None:
    facts = segment.parents[1] / "store.json"
    data = facts.read_bytes()
    for change in (
        b"",
        b"[" * 100_000,
        data.replace(b'"format":1', b'"format":NaN'),
        data.replace(b'"content":{', b'"content":{"format":1,', 1),
        data[:-1],
        b"\xff" + data,
    ):
        facts.write_bytes(change)
        with pytest.raises(CorruptStore, match="Delete that file and run stackclip cache-features") as caught:
            Store.open(facts.parent)
        assert "\n" not in str(caught.value)


FINGERPRINT = "f" * 64
FACTS = {"format": "stackclip-head/1", "facts": json.dumps({"fingerprint": FINGERPRINT})}
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
NAN = struct.pack("<f", float("nan"))


def head(header: Any, data: bytes = bytes(4)) -> bytes:
    """A safetensors file of this header."""
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data


def told(**changed: str) -> dict[str, Any]:
    """A header whose facts are these."""
    return {"__metadata__": {**FACTS, **changed}, "a": ONE}


HEADS: dict[str, bytes] = {
    "empty": b"",
    "two bytes": b"\0\0",
    "a pickle": b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04echo\x94\x85\x94R.",
    "a zip": b"PK\x03\x04".ljust(200, b"\0"),
    "a header of 2^62 bytes": struct.pack("<Q", 1 << 62) + b"{}",
    "a header that is longer than the file": struct.pack("<Q", 1 << 20) + b"{}",
    "a header that is no JSON": head(b"{" * 50),
    "deep JSON": head(b"[" * 100_000),
    "a header of 2 MB": head({"__metadata__": {**FACTS, "more": "y" * (2 << 20)}, "a": ONE}),
    "NaN": head(told(), NAN),
    "infinity": head(told(), struct.pack("<f", float("inf"))),
    "NaN in float8": head(
        {"__metadata__": FACTS, "a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, b"\x7f" * 4
    ),
    "whole numbers": head(
        {"__metadata__": FACTS, "a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)
    ),
    "a shape that overflows": head({"__metadata__": FACTS, "a": {**ONE, "shape": [1 << 40, 1 << 40]}}),
    "a shape below nothing": head({"__metadata__": FACTS, "a": {**ONE, "shape": [-1]}}),
    "tensors in one place": head({"__metadata__": FACTS, "a": ONE, "b": ONE}),
    "a tensor beyond the end": head({"__metadata__": FACTS, "a": {**ONE, "data_offsets": [0, 400]}}),
    "a tensor twice": head(
        json.dumps(told()).encode().replace(b'"a": ', b'"a": ' + json.dumps(ONE).encode() + b', "a": ')
    ),
    "no tensors": head({"__metadata__": FACTS}, b""),
    "no facts": head({"a": ONE}),
    "a format of the future": head(told(format="stackclip-head/2")),
    "facts that are no JSON": head(told(facts="{")),
    "facts that are a list": head(told(facts="[]")),
    "facts without a fingerprint": head(told(facts="{}")),
    "facts of another tower": head(told(facts='{"fingerprint": "0"}')),
    "facts with NaN": head(told(facts='{"fingerprint": NaN}')),
    "facts with a key twice": head(told(facts=f'{{"fingerprint": "0", "fingerprint": "{FINGERPRINT}"}}')),
    "weights without their hash": head(told()),
    "deep facts": head(told(facts="[" * 100_000)),
    "a format of two lines": head(told(format="a\nb")),
    "a tower of two lines": head(told(facts='{"fingerprint": "0", "tower": "a\\nb"}')),
    "a name of two lines": head({"__metadata__": FACTS, "a\nb": ONE}, NAN),
}


@pytest.mark.parametrize("what", HEADS)
def test_a_crafted_head_is_refused_in_one_line(tmp_path: Path, tally: Tally, what: str) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(HEADS[what])
    with pytest.raises((WeightsError, FingerprintMismatch)) as caught:
        load_head(path, fingerprint=FINGERPRINT)
    assert "\n" not in str(caught.value)
    tally.counted("crafted heads", "a file made to do harm", what)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_head_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", Path("/dev/null")):
        with pytest.raises(StackclipError, match="no readable head"):
            load_head(path, fingerprint=FINGERPRINT)
    with pytest.raises(StackclipError, match="absent: cannot be read"):
        load_head(tmp_path / "absent", fingerprint=FINGERPRINT)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_head_with_any_bytes_changed_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    import torch

    from stackclip.heads import TrainedHead, save_head

    path = tmp_path / "head.safetensors"
    save_head(path, TrainedHead({"a": torch.arange(6.0)}, {"fingerprint": FINGERPRINT}))
    whole = path.read_bytes()
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(changed[: data.draw(st.integers(0, len(whole)))])
    try:
        found, refusal = load_head(path, fingerprint=FINGERPRINT).tensors["a"].tolist(), ""
    except StackclipError as error:
        found, refusal = list(range(6)), str(error)
    assert found == list(range(6))
    assert "\n" not in refusal
