"""A file of columns gives back what was written, or says that it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from stackclip.cache.columns import first_rows, read_columns, write_columns
from stackclip.errors import DamagedFile

WANTED = {"a": "<u4", "names": "|S4", "states": "<i8"}
COLUMNS = {
    "a": np.arange(5, dtype="<u4"),
    "names": np.array([b"", b"ab\0\0", b"wxyz"]),
    "states": np.arange(-4, 2).reshape(3, 2),
}


def written(path: Path) -> bytes:
    write_columns(path, {"format": 1}, COLUMNS)
    return path.read_bytes()


def forged(data: bytes, **changed: object) -> bytes:
    """Other facts under a checksum that fits."""
    length = int.from_bytes(data[16:24], "little")
    text = json.dumps({**json.loads(data[24 : 24 + length]), **changed}).encode()
    gap = bytes(-(24 + len(text)) % 64)
    body = len(text).to_bytes(8, "little") + text + gap + data[24 + length + (-(24 + length) % 64) :]
    return data[:8] + xxh3_64_intdigest(body).to_bytes(8, "little") + body


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "file")
    facts, columns = read_columns(tmp_path / "file", WANTED, largest=1 << 20)
    assert facts == {"format": 1}
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(columns[name], column)
        assert columns[name].dtype.str == WANTED[name]
        assert not columns[name].flags.writeable


def test_every_changed_byte_and_every_length_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = written(path)
    damaged = [data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :] for at in range(len(data))]
    damaged += [data[:at] for at in range(0, len(data), 7)] + [data + b"\0", data + bytes(64)]
    for each in damaged:
        path.write_bytes(each)
        with pytest.raises(DamagedFile):
            read_columns(path, WANTED, largest=1 << 20)


@pytest.mark.parametrize(
    "columns",
    [
        [],
        None,
        [["a", "<u4", 5]],
        [["a", "|O", 5], ["names", "|S4", 3], ["states", "<i8", 3, 2]],
        [["a", "<u4", -5], ["names", "|S4", 3], ["states", "<i8", 3, 2]],
        [["a", "<u4", 5.0], ["names", "|S4", 3], ["states", "<i8", 3, 2]],
        [["a", "<u4", True], ["names", "|S4", 3], ["states", "<i8", 3, 2]],
        [["a", "<u4", 1 << 40], ["names", "|S4", 3], ["states", "<i8", 3, 2]],
        [["a", "<u4", 1 << 40, 1 << 40, 0], ["names", "|S4", 3], ["states", "<i8", 3, 2, 1 << 60]],
        [["a", "<u4", 5], ["names", "|S4", 3], ["states", "<i8"]],
        [["a", "<u4", 5], ["names", "|S4", 3], ["states", "<i8", 300, 2]],
    ],
)
def test_facts_that_do_not_fit_are_refused_though_their_checksum_does(tmp_path: Path, columns: object) -> None:
    path = tmp_path / "file"
    data = written(path)
    path.write_bytes(forged(data))
    assert read_columns(path, WANTED, largest=1 << 20)[0] == {"format": 1}
    path.write_bytes(forged(data, columns=columns))
    with pytest.raises(DamagedFile, match="file"):
        read_columns(path, WANTED, largest=1 << 20)


def test_no_more_is_read_than_may_be(tmp_path: Path) -> None:
    size = len(written(tmp_path / "file"))
    read_columns(tmp_path / "file", WANTED, largest=size)
    with pytest.raises(DamagedFile, match="no regular file"):
        read_columns(tmp_path / "file", WANTED, largest=size - 1)


def test_a_file_that_is_not_there_says_so_by_its_cause(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile) as caught:
        read_columns(tmp_path / "gone", WANTED, largest=1 << 20)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=3)), st.lists(st.binary(max_size=3)))
def test_the_first_row_of_a_key_is_that_of_a_list(column: list[bytes], keys: list[bytes]) -> None:
    plain = [each.rstrip(b"\0") for each in sorted(column)]
    rows = first_rows(np.array(sorted(column), "S4"), np.array(keys, "S4"))
    asked = [each.rstrip(b"\0") for each in keys]
    assert rows.tolist() == [plain.index(key) if key in plain else -1 for key in asked]
