"""The verbs about features: pictures read again, another writer waited for, folders that may not be looked into."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from stackclip.cache import Store, stores_in

TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "bolts"
    folder.mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 256, (60, 60, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.bmp")
    return folder


@pytest.fixture
def words(pictures: Path) -> tuple[str, ...]:
    return ("cache-features", "--dataset", str(pictures), "--methods", "precise", *TOWER)


def test_verify_reads_the_pictures_again_and_fails_for_one_that_changed(
    stackclip: Callable[..., Result], pictures: Path, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert stackclip(tmp_path / "ws", *words).exit_code == 0
    whole = stackclip(tmp_path / "ws", "verify", "--sources")
    assert whole.exit_code == 0
    assert "4 sources of known place: 4 same, 0 changed, 0 gone, 0 unreadable" in whole.stdout

    (pictures / "3.bmp").unlink()
    gone = stackclip(tmp_path / "ws", "verify", "--sources")
    assert (gone.exit_code, "3 same, 0 changed, 1 gone" in gone.stdout) == (0, True)

    times = (pictures / "0.bmp").stat()
    (pictures / "0.bmp").write_bytes((pictures / "1.bmp").read_bytes())
    os.utime(pictures / "0.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = stackclip(tmp_path / "ws", "verify", "--sources")
    assert changed.exit_code == 1
    assert f"changed: {pictures / '0.bmp'}\n" in changed.stdout
    assert "2 same, 1 changed, 1 gone" in changed.stdout
    assert "0 problems" in changed.stdout
    assert stackclip(tmp_path / "ws", "verify").exit_code == 0  # the store's own bytes are as they were


HOLD = """
import sys, time, pathlib, stackclip.cache as cache, stackclip.cache.lock
lock = cache.lock.WriterLock(pathlib.Path(sys.argv[1], "writer.lock"))  # as repair does
print("held", flush=True)
time.sleep(float(sys.argv[2]))
lock.release()
"""


def test_one_who_repairs_the_store_is_waited_for_and_named(
    stackclip: Callable[..., Result], words: tuple[str, ...], tmp_path: Path
) -> None:
    fewer_parts = ("clip" if word == "precise" else word for word in words)
    assert stackclip(tmp_path / "ws", *fewer_parts).exit_code == 0
    (folder,) = stores_in(tmp_path / "ws" / "cache" / "features")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), "12"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    refused = stackclip(tmp_path / "ws", *words, "--wait", "0.5")
    assert refused.exit_code == 1
    assert f"waiting for process {holder.pid} on " in refused.stderr
    assert f"by process {holder.pid} on " in refused.stderr
    done = stackclip(tmp_path / "ws", *words, "--wait")
    assert done.exit_code == 0, done.stderr
    assert holder.wait() == 0
    holder.stdout.close()
    assert len(Store.open(folder)) == 4
