"""What was sealed is read back; anything else is refused, without waiting and within bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackclip.errors import DamagedFile
from stackclip.ops.seals import read_regular, sealed, unsealed

FACTS = {"metrics": {"image_AUROC": 0.93}, "name": "größe", "seeds": [0, 1]}


def test_what_was_sealed_is_read_back():
    assert unsealed(sealed(FACTS)) == FACTS


@given(st.integers(0, 8 * len(sealed(FACTS)) - 1))
def test_every_flipped_bit_is_noticed(bit: int):
    data = bytearray(sealed(FACTS))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="checksum"):
        unsealed(bytes(data))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b'{"content": null}', b"[" * 100_000, b"\xff"])
def test_other_content_is_refused(data: bytes):
    with pytest.raises(ValueError, match="checksum"):
        unsealed(data)


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", largest=5) == b"12345"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("file", "pipe", "endless", "missing", "."):
        with pytest.raises(DamagedFile, match=f"^{tmp_path}"):
            read_regular(tmp_path / name, largest=4)
