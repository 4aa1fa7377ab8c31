"""`verify` finds what is damaged, `repair` drops it and says so, and `cache-features` makes the same store again."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from stackclip.cache import Store, stores_in
from stackclip.cli import cli
from stackclip.types import CLS, GOOD, NORMAL, Sample, TowerSpec

from .lab import environment

SPEC = TowerSpec(name="Many/16", image_size=16, grid=4, depth=3, width=8, joint=6, layers=(1, 2, 3))


def run(workspace: Path, *words: str) -> tuple[int, str, str]:
    result = CliRunner(env={"STACKCLIP_CACHE": str(workspace)}).invoke(cli, list(words))
    return result.exit_code, result.stdout, result.stderr


def content(folder: Path) -> dict[tuple[str, str], str]:
    """By source and part the hash of what a store holds."""
    store = Store.open(folder)
    assert store.verify() == []
    records = [record for segment in store._segments.values() for record in segment.manifest.records]
    return {(record.digest, str(part)): value for record in records for part, value in record.hashes.items()}


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


def test_a_repaired_store_is_bit_for_bit_what_it_was(pictures: list[Path], tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    encode = [
        ["cache-features", "--dataset", str(folder), "--methods", "precise", "--image-size", "56"]
        for folder in pictures
    ]
    for words in encode:
        assert run(workspace, *words)[0] == 0
    (folder,) = stores_in(workspace / "features")
    before, segment = content(folder), folder / "segments" / "000001.h5"
    assert run(workspace, "verify")[0] == 0

    data = bytearray(segment.read_bytes())
    data[-100] ^= 4
    segment.write_bytes(data)
    code, said, _ = run(workspace, "verify")
    assert code == 1
    assert "000001.h5: " in said
    assert "it held 11 records" in said
    assert "1 problem" in said

    code, said, _ = run(workspace, "repair")
    assert code == 0
    assert f"dropped: {segment}: " in said
    assert "it held 11 records" in said
    assert run(workspace, "verify")[0] == 0
    assert len(content(folder)) < len(before)

    code, _, said = run(workspace, *encode[0][:1], "--only-missing", *encode[0][1:])
    assert code == 0
    assert "encoded 11 pictures" in said
    assert content(folder) == before

    for name in ("000002.h5", "000003.h5"):  # what is left of a segment is encoded in other batches than it was
        (folder / "segments" / name).write_bytes(b"")
    assert run(workspace, "repair")[0] == 0
    both = ["cache-features", "--dataset", str(pictures[1]), "--dataset", str(pictures[0]), *encode[0][3:]]
    assert run(workspace, *both, "--encode-batch-size", "8")[0] == 0
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
