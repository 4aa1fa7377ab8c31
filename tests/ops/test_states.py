"""The state of a file tells that it is the same, unless it was changed in the moment of its reading."""

from __future__ import annotations

import os
from pathlib import Path
from time import time_ns

import pytest

from stackclip.ops.states import FileState, were_settled

_SECOND = 10**9


def test_a_state_is_another_after_a_write_that_keeps_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    os.utime(file, (1, 1))
    before = FileState.of(file.stat())
    assert FileState.of(file.stat()) == before
    file.write_bytes(b"two")
    os.utime(file, (1, 1))
    after = FileState.of(file.stat())
    assert (after.size, after.modified, after.inode) == (before.size, before.modified, before.inode)
    assert after != before


@pytest.mark.parametrize(
    ("modified", "changed", "moment", "settled"),
    [
        (-10, -10, 0, True),
        (-10, -2, 0, False),  # a clock of two seconds would not show a change now
        (-2, -10, 0, False),
        (-30, -30, -20, True),
        (-10, -10, 60, False),  # the clock went back since
    ],
)
def test_a_file_is_settled_when_its_last_change_is_seconds_ago(
    modified: int, changed: int, moment: int, settled: bool
) -> None:
    now = time_ns()
    state = FileState(1, 2, 3, now + modified * _SECOND, now + changed * _SECOND)
    assert were_settled([state], now + moment * _SECOND) is settled
    assert were_settled([], now)
    assert not were_settled([state._replace(inode=0)], now + moment * _SECOND)
