"""Banks of normal pictures and mutual scores at the sizes of ViT-L/14 at 518 pixels: memory, time, matrix products.

Run: pytest benchmarks/perf/test_memory.py --benchmark-only -s
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stackclip.contracts.trial import task_of
from stackclip.methods import resolve
from stackclip.methods.musc import normed_patches
from stackclip.ops.maps import unit
from stackclip.ops.mutual import mutual_distances
from stackclip.types import CLS, NORMAL, Features, Sample, TowerSpec

LARGE = TowerSpec("ViT-L-14-336", image_size=518, grid=37, depth=24, width=1024, joint=768, layers=(6, 12, 18, 24))
NORMALS, BATCH = 300, 8
SCORED = 6  # pictures that score each other


def random_features(count: int, parts: frozenset[Any]) -> Iterator[Features]:
    """Batches of pictures whose patches are near one of a few, as those of one product are; some channels are large."""
    draws = torch.Generator().manual_seed(0)
    scales = torch.rand(LARGE.width, generator=draws).pow(4) * 6
    kinds = torch.randn(64, LARGE.width, generator=draws)
    for start in range(0, count, BATCH):
        samples = tuple(
            Sample(f"{n}.png", "random", "x", "test", Path("x.png"), None, NORMAL, "good")
            for n in range(start, min(start + BATCH, count))
        )
        shape = (len(samples), LARGE.grid**2)
        near = kinds[torch.randint(len(kinds), shape, generator=draws)]  # (B, P, C)
        found = {part: (near + torch.randn(*shape, LARGE.width, generator=draws)) * scales for part in parts - {CLS}}
        cls = {CLS: torch.randn(len(samples), LARGE.joint, generator=draws)} if CLS in parts else {}
        yield Features(samples, {**found, **cls})


def peak() -> int:
    """The most bytes that this process has held so far: VmHWM, since ru_maxrss begins with what the parent held."""
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


def measure(spec: str) -> dict[str, float]:
    """Bytes at the peak and seconds of the bank of NORMALS pictures, and seconds of a picture's distances to it."""
    method = resolve(spec)
    parts = method.needs(LARGE, "shots")
    detector = method.begin(task_of(tower=LARGE, shots="all"))
    reading = 0.0

    def shots() -> Iterator[Features]:
        nonlocal reading
        stream, start = random_features(NORMALS, parts), time.perf_counter()
        for features in stream:
            reading += time.perf_counter() - start
            yield features
            start = time.perf_counter()

    start = time.perf_counter()
    inspector = detector.on("x", shots(), iter(()))
    bank = time.perf_counter() - start - reading
    tested = next(random_features(2, parts))
    start = time.perf_counter()
    inspector.predict(tested)
    return {"peak": peak(), "bank": bank, "picture": (time.perf_counter() - start) / len(tested)}


@pytest.mark.parametrize("spec", ["patchcore-clip"])
def test_a_bank_of_three_hundred_pictures(spec: str, figure: Any) -> None:
    command = [sys.executable, __file__, spec]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    words = f"{NORMALS} normal pictures of ViT-L/14 at 518, random, {torch.get_num_threads()} thread(s)"
    figure(f"{spec}: memory at the peak", found["peak"] / 1e9, goal="<= 6", unit="GB", note=words)
    figure(f"{spec}: the bank", found["bank"], unit="s", note=f"{words}; a tenth of {NORMALS * LARGE.grid**2} patches")
    figure(f"{spec}: distances of a picture to it", found["picture"], unit="s", note=words)


def test_mutual_scores_against_their_matrix_products(race: Any, figure: Any) -> None:
    method = resolve("musc")
    batches = list(random_features(SCORED, method.needs(LARGE, "survey")))
    detector: Any = method.begin(task_of(tower=LARGE))
    pictures: Tensor = torch.cat([normed_patches(features[LARGE.taps[0]], 3, LARGE.frame.grid) for features in batches])

    def products() -> None:
        for _ in range(len(LARGE.taps) * 3):
            for index in range(1, len(pictures)):
                pictures[:index].flatten(0, 1) @ pictures[index].mT

    def ours() -> None:
        detector.survey(lambda: iter(batches))

    distances = mutual_distances(lambda: iter(pictures), SCORED, room=1 << 32)
    torch.testing.assert_close(distances[0, 1], torch.cdist(pictures[0], pictures[1]).amin(1), atol=1e-3, rtol=0)
    torch.testing.assert_close(pictures, unit(pictures))
    outcome = race(ours, products, rounds=3)
    pairs = SCORED * (SCORED - 1) // 2
    figure(
        "musc: mutual scores, of their matrix products",
        1 / outcome.ratio,
        goal="<= 1.3",
        note=f"{SCORED} pictures of ViT-L/14 at 518, one product for both directions; "
        f"{1e3 * outcome.ours / pairs:.0f} ms a pair for 4 layers and 3 sides, {torch.get_num_threads()} thread(s)",
    )


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
