"""`verify` finds what is damaged, `repair` drops it and says so, and `cache-features` makes the same store again."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from stackclip.cache import Store, stores_in
from stackclip.cache.manifest import read_sealed
from stackclip.types import CLS, GOOD, NORMAL, Sample, TowerSpec

from .lab import environment

SPEC = TowerSpec(name="Many/16", image_size=16, grid=4, depth=3, width=8, joint=6, layers=(1, 2, 3))


def content(folder: Path) -> dict[tuple[str, str], str]:
    """By source and part the hash of what a store holds."""
    store = Store.open(folder)
    assert store.verify() == []
    manifests = [read_sealed(path) for path in sorted((folder / "segments").glob("*.json"))]
    records = [record for manifest in manifests for record in manifest["records"]]
    return {(record["source"], part): value for record in records for part, value in record["xxh3"].items()}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two folders, of eleven pictures and of six."""
    folders = []
    for name, count in (("bolts", 11), ("nuts", 6)):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        for index in range(count):
            pixels = np.random.default_rng((count, index)).integers(0, 256, (60, 60, 3), np.uint8)
            Image.fromarray(pixels).save(folders[-1] / f"{index}.png")
    return folders


def test_a_repaired_store_is_bit_for_bit_what_it_was(
    stackclip: Callable[..., Result], pictures: list[Path], tmp_path: Path
) -> None:
    run = partial(stackclip, None, env={"STACKCLIP_CACHE": str(tmp_path)})
    encode = [
        ["cache-features", "--dataset", str(folder), "--methods", "precise", "--image-size", "56"]
        for folder in pictures
    ]
    for words in encode:
        assert run(*words).exit_code == 0
    (folder,) = stores_in(tmp_path / "features")
    before, segment = content(folder), folder / "segments" / "000001.h5"
    assert run("verify").exit_code == 0

    data = bytearray(segment.read_bytes())
    data[-100] ^= 4
    segment.write_bytes(data)
    verified = run("verify")
    assert verified.exit_code == 1
    assert "000001.h5: " in verified.stdout
    assert "it held 11 records" in verified.stdout
    assert "1 problem" in verified.stdout

    repaired = run("repair")
    assert repaired.exit_code == 0
    assert f"dropped: {segment}: " in repaired.stdout
    assert "it held 11 records" in repaired.stdout
    assert run("verify").exit_code == 0
    assert len(content(folder)) < len(before)

    again = run(*encode[0][:1], "--only-missing", *encode[0][1:])
    assert again.exit_code == 0
    assert "encoded 11 pictures" in again.stderr
    assert content(folder) == before

    for name in ("000002.h5", "000003.h5"):  # what is left of a segment is encoded in other batches than it was
        (folder / "segments" / name).write_bytes(b"")
    assert run("repair").exit_code == 0
    both = ["cache-features", "--dataset", str(pictures[1]), "--dataset", str(pictures[0]), *encode[0][3:]]
    assert run(*both, "--encode-batch-size", "8").exit_code == 0
    assert content(folder) == before


def test_verify_and_repair_show_a_bar_on_a_terminal(tmp_path: Path) -> None:
    store = Store.create(tmp_path, {"model": SPEC.name}, spec=SPEC, recorded={})
    picture = tmp_path / "a.png"
    with store.writer(seal_bytes=1) as writer:
        for index in range(120):
            picture.write_text(str(index))
            sample = Sample(str(index), "many", "plate", "test", picture, None, NORMAL, GOOD)
            writer.add(store.source(sample), {CLS: np.ones(6, np.float16)})
    for verb in ("verify", "repair"):
        ours, theirs = pty.openpty()
        words = [sys.executable, "-c", "from stackclip.cli import main; main()", verb, str(store.folder)]
        where = environment(TERM="xterm", COLUMNS="100")
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, text=True, env=where)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # the terminal's other end is closed
            pass
        os.close(ours)
        said, _ = process.communicate()
        assert process.returncode == 0
        assert "120 pictures" in said or "0 dropped" in said
        assert f"{verb} {store.folder.name}" in shown.decode()
        assert "/120" in shown.decode()
