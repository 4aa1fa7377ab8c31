"""Files are whole or absent; hashes and JSON are the same for the same facts."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from stackclip.ops.drafts import Draft
from stackclip.ops.files import (
    canonical_json,
    content_hash,
    file_hash,
    sync_tree,
    write_atomically,
    written_once,
)


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


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nothing says which file a descriptor is")
def test_every_file_of_a_tree_is_forced_to_the_disk_and_then_the_folder_that_names_it(tmp_path: Path, monkeypatch):
    for name in ("a.png", "inner/b.png", "inner/deep/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"data")
    order: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    sync_tree(tmp_path)
    assert sorted(order) == sorted([tmp_path, *tmp_path.rglob("*")])
    for path in tmp_path.rglob("*.png"):
        assert order.index(path) < order.index(path.parent)


def test_a_link_that_waits_under_a_temporary_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr("stackclip.ops.drafts.secrets.token_hex", lambda count: "0" * 16)
    with Draft(tmp_path) as draft:
        name = draft.path
    name.symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "file", b"new")
    assert victim.read_bytes() == b"precious"


def test_a_failed_write_names_the_file_that_was_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    for name in ("write", "fsync", "open"):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, fails)
            with pytest.raises(OSError, match="Input/output error") as caught:
                write_atomically(tmp_path / "table.csv", b"new")
        assert caught.value.filename == str(tmp_path / "table.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path):
    (tmp_path / "rows").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"rows is a file, where a folder belongs"):
        write_atomically(tmp_path / "rows" / "1.json", b"data")


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_what_is_no_folder_under_the_name_of_one_is_told_before_it_is_filled(tmp_path: Path, kind: str):
    place = tmp_path / "cut"
    place.write_bytes(b"mine") if kind == "file" else place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="is there and is no folder") as caught:
        written_once(place, lambda _: pytest.fail("it was filled"))
    assert caught.value.filename == str(place)
    assert list(tmp_path.iterdir()) == [place]


def test_a_full_disk_leaves_no_folder_and_the_next_try_fills_it(tmp_path: Path):
    def until_full(draft: Path) -> None:
        (draft / "0.png").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        written_once(tmp_path / "cut", until_full)
    assert list(tmp_path.iterdir()) == []
    place = written_once(tmp_path / "cut", lambda draft: (draft / "0.png").touch())
    assert [path.name for path in place.iterdir()] == ["0.png"]


def test_a_process_sweeps_a_folder_at_its_first_write_there(tmp_path: Path):
    (tmp_path / ".stackclip-another-machine-1-0123456789abcdef.tmp").write_bytes(b"")
    os.utime(next(tmp_path.iterdir()), (0, 0))
    write_atomically(tmp_path / "file", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_draft_that_another_process_removed_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replace, lost = Path.replace, []

    def losing(self: Path, target: Path) -> Path:
        if not lost:
            lost.append(self)
            self.unlink()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", losing)
    write_atomically(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert lost
