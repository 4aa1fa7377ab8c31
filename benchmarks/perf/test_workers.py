"""How much faster several workers are: with an encoder that waits, as for a GPU, and with a bench on the cores here.

Run: pytest benchmarks/perf/test_workers.py --benchmark-only -s
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 0.2  # of the waiting encoder, for each picture
PICTURES = 800
WAITING = f"""
import os, time, torch
from pathlib import Path
from stackclip.clip.doubles import RandomViT
from stackclip.registry import backbones

@backbones.register("waiting")
class Waiting:
    "A tower that takes as long for a picture as a large one on a GPU, and no core meanwhile."

    def load(self, *, image_size=None, layers=None, device="cpu", precision="fp32"):
        tower = RandomViT(image_size=56).load(device="cpu")

        def waited(pictures, parts):
            start = time.time()
            time.sleep({SECONDS} * len(pictures))
            with Path(__file__).with_name("calls.txt").open("a") as calls:
                calls.write(f"{{os.getpid()}} {{start}} {{time.time()}} {{len(pictures)}}\\n")
            mean = pictures.mean((1, 2, 3))
            shapes = {{part: tower.spec.shape(part) for part in parts}}
            return {{part: mean.reshape(-1, *[1] * len(s)).expand(-1, *s) for part, s in shapes.items()}}

        tower.encode = waited
        return tower
"""
SETS = (
    *("--train-on", "synthetic[categories=4,per_category=12,train_good=3,size=112]"),
    *("--test-on", "synthetic[part=combinations,categories=4,per_category=12,train_good=3,size=112]"),
)
METHODS = "precise,stacked,fuzzy,april-gan,sdp,winclip,clip-surgery,clip"
BENCH = ("bench", *SETS, "--methods", METHODS, "--seeds", "0,1,2,3", "--epochs", "6", "--json", "--cached-only")


def timed(place: Path, *words: str) -> tuple[float, str]:
    """The seconds of a command, and what it said of its work."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    command = [sys.executable, "-m", "stackclip", "--workspace", str(place), *words]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    return time.perf_counter() - start, ended.stdout + ended.stderr


def encoding(place: Path, pictures: Path, workers: int) -> tuple[float, float]:
    """How many pictures a second the workers encode in all, and how long the whole takes.

    The first is the sum over workers of what each did from its first call of the encoder to its last, with all that was
    to be done between calls: looks, segments that are sealed, jobs that are waited for.
    """
    words = (
        "cache-features",
        "--dataset",
        str(pictures),
        "--split",
        "all",
        "--methods",
        "clip",
        "--backbone",
        "waiting",
    )
    (place / "registry").mkdir(parents=True)
    (place / "registry" / "waiting.py").write_text(WAITING)
    took, said = timed(place, *words, "--encode-batch-size", "4", "--workers", str(workers))
    assert f"encoded {PICTURES} pictures" in said
    calls = np.loadtxt(place / "registry" / "calls.txt")
    each = [calls[calls[:, 0] == process] for process in set(calls[:, 0])]
    assert len(each) == workers
    assert calls[:, 3].sum() == PICTURES
    return sum(of_one[:, 3].sum() / (of_one[:, 2].max() - of_one[:, 1].min()) for of_one in each), took


def test_an_encoder_that_waits(tmp_path: Path, figure: Any) -> None:
    (tmp_path / "pictures").mkdir()
    for index in range(PICTURES):
        pixels = np.random.default_rng(index).integers(0, 256, (56, 56, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{index:03d}.png")
    alone, _ = encoding(tmp_path / "1", tmp_path / "pictures", 1)
    for workers, goal in ((2, ">= 1.9"), (4, ">= 3.7")):
        rate, took = encoding(tmp_path / f"{workers}", tmp_path / "pictures", workers)
        note = (
            f"an encoder that waits {SECONDS} s for each of {PICTURES} pictures; {alone:.3g} a second alone, {rate:.3g}"
        )
        figure(f"pictures a second, {workers} workers of one, while they work", rate / alone, goal=goal, note=note)
        start = took - PICTURES * SECONDS / workers
        figure(f"start and end of {workers} workers, beside their work", start, unit="s", note=note)


def test_a_bench_by_two_workers(tmp_path: Path, figure: Any) -> None:
    timed(tmp_path, *(word for word in BENCH if word != "--cached-only"), "--epochs", "0")  # the pictures
    alone, _ = timed(tmp_path, *BENCH, "--overwrite", "always")
    shared, _ = timed(tmp_path, *BENCH, "--overwrite", "always", "--workers", "2")
    note = f"8 methods x 4 seeds x 4 categories, {alone:.3g} s alone, {shared:.3g} s by two, start and all"
    figure("a bench by two workers, of its time alone", alone / shared, note=note)
