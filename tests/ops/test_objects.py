"""JSON objects that people write, and what is said of files that hold none."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackclip.errors import DataError
from stackclip.ops.objects import read_object


def test_an_object_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": {"b": [1]}}')
    assert read_object(tmp_path / "a.json", wanted="{}") == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1]", "holds a list; wanted one object {name: word}"),
        (b'{"a": 1, "a": 2}', "names 'a' twice"),
        (b'{"a": {"b": 1, "b": 2}}', "names 'b' twice"),
        (b"{a}", "not JSON"),
        (b"\xff", "not JSON"),
        (b" " * ((1 << 20) + 1), "cannot be read"),
    ],
)
def test_what_is_no_object_is_said_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=said.replace("{", "\\{")) as caught:
        read_object(tmp_path / "a.json", wanted="{name: word}")
    assert "\n" not in str(caught.value)
