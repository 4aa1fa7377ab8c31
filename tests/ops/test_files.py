"""Files are whole or absent; hashes and JSON are the same for the same facts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from stackclip.ops.files import canonical_json, content_hash, file_hash, write_atomically


def test_equal_facts_give_one_byte_string_in_whatever_order_they_come():
    assert canonical_json({"b": [1, 2.5], "a": "größe"}) == '{"a":"größe","b":[1,2.5]}'.encode()
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_not_written_as_json(number: float):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": number})


@given(st.binary(max_size=64))
def test_a_content_hash_is_blake3_in_hex(data: bytes):
    assert content_hash(data) == blake3(data).hexdigest()


def test_a_file_hash_is_the_hash_of_its_content_however_long(tmp_path: Path):
    data = os.urandom((1 << 20) + 17)
    (tmp_path / "file").write_bytes(data)
    assert file_hash(tmp_path / "file") == content_hash(data)


def test_a_write_makes_missing_folders_and_replaces_what_was_there(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "file.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_data_is_forced_to_the_disk_before_its_name_and_the_folder_after(tmp_path: Path, monkeypatch):
    order: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("sync"), sync(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("rename"), replace(self, target))[1])
    write_atomically(tmp_path / "file", b"data")
    assert order == ["sync", "rename", "sync"]
