"""A disk that is really full: file systems of a few kilobytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .lab import Lab, told_by
from .tally import Tally

SIZES = (4, 8, 12, 20, 24, 32, 36, 44, 52, 60)  # kB: from one page to all but the last segment


@pytest.fixture
def small_disk(lab: Lab) -> Iterator[Callable[[int], Path]]:
    """Make an empty file system of so many kB, and give the folder it is at."""
    made: list[Path] = []

    def make(kilobytes: int) -> Path:
        root = lab.fresh()
        words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(root)]
        if not sys.platform.startswith("linux") or os.geteuid():
            pytest.skip("mounting a small file system needs Linux and root")
        if (done := subprocess.run(words, capture_output=True, text=True)).returncode:
            pytest.skip(f"mounting a small file system is not allowed here: {done.stderr.strip()}")
        made.append(root)
        return root

    yield make
    for root in made:
        subprocess.run(["umount", str(root)], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    lab: Lab, tally: Tally, small_disk: Callable[[int], Path], full: bool
) -> None:
    fault = "a file system of 4 to 60 kB"
    tally.of(fault, "a size")
    said: list[str] = []
    for kilobytes in SIZES if full else SIZES[::3]:
        root = small_disk(kilobytes)
        ending = lab.run("cache", root, watched=False)
        assert (ending.code, ending.signal) == (1, 0), f"{kilobytes} kB were enough"
        said.append(ending.messages)
        subprocess.run(["mount", "-o", "remount,size=4m", str(root)], check=True)
        tally.judged(fault, f"{kilobytes} kB", lab.judge(root), ending)
        assert told_by(root).exists() or kilobytes < 30
    tally.require(fault)
    assert all("No space left on device" in message for message in said)
