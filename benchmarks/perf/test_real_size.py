"""A bench of all prompt methods over features of ViT-L/14 at 518 pixels: its memory, and its time a picture and method.

Caching and bench run in a process of their own. Its tower has the real sizes and random weights; its text side works,
and in place of the image side patches are projected at random, so that features depend on the pictures as real ones do.

Run: pytest benchmarks/perf/test_real_size.py --benchmark-only -s
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.benchmarks.entrant import needed
from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.clip import TextEncoder, Tower, flush_denormals
from stackclip.clip.assembly import assemble_tower
from stackclip.clip.doubles import random_weights
from stackclip.data import Dataset, open_dataset
from stackclip.learners import Lesson, Regulated
from stackclip.ops.maps import unit
from stackclip.ops.memory import available_memory
from stackclip.registry import learners
from stackclip.types import CLS, Features, Part, Row, Sample

ARCHITECTURE, SIDE, TAPS = "ViT-L-14-336", 518, (6, 12, 18, 24)
METHODS = (
    "precise",
    "fuzzy",
    "stacked[clusters=2]",
    "april-gan[class_names=spaced]",  # so that it reads the phrases that the others read
    "stackclip[clusters=2,learner=none]",
    "stackclip[clusters=2,learner=rpl]",
    "clip",
    "stackclip[clusters=2,head=none,learner=rpl]",  # RPL by itself
    "anomalyclip",
)
TRAINED, TESTED = (  # 48 + 152 pictures of 2 + 1 categories
    "synthetic[categories=2,per_category=24,train_good=0,size=112]",
    "synthetic[part=combinations,categories=1,per_category=152,train_good=0,size=112]",
)
MEMORY, DISK = 8e9, 6e9  # bytes: the goal, and what the store needs with room to spare
BATCH = 8
SUBJECT = (
    "bottle cable capsule carpet grid hazelnut leather metal nut pill screw tile toothbrush transistor wood zipper"
)


class Projected:
    """The tower's sizes, and random projections of the pixels of each patch in place of its features."""

    def __init__(self, tower: Tower) -> None:
        self.spec, self.prepare = tower.spec, tower.prepare
        self._draws = torch.Generator().manual_seed(0)
        pixels = 3 * (self.spec.image_size // self.spec.grid) ** 2
        self._matrix = torch.randn(pixels, self.spec.width, generator=self._draws) / math.sqrt(pixels)
        self._scales = torch.rand(self.spec.width, generator=self._draws).pow(4) * 6  # few channels are large

    def encode(self, pictures: Tensor, parts: Iterable[Part]) -> dict[Part, Tensor]:
        patches = F.unfold(
            pictures, self.spec.image_size // self.spec.grid, stride=pictures.shape[-1] // self.spec.grid
        )
        tokens = patches.mT @ self._matrix  # (B, P, C)
        return {part: self._drawn(tokens, self.spec.shape(part)) for part in parts}

    def _drawn(self, tokens: Tensor, shape: Sequence[int]) -> Tensor:
        noise = torch.randn(1, *shape, generator=self._draws)
        if len(shape) == 1:
            return tokens.mean(1)[:, : shape[0]] + noise
        channels = torch.randperm(self.spec.width, generator=self._draws)[: shape[1]]
        places = torch.arange(shape[0]) % tokens.shape[1]  # there may be a class token too, or fewer windows
        return (tokens[:, places][..., channels] + noise) * self._scales[channels]


class Phrases(TextEncoder):
    """A text encoder that knows how many seconds it took."""

    seconds = 0.0

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        start = time.perf_counter()
        features = super().__call__(phrases)
        self.seconds += time.perf_counter() - start
        return features


def tower_of(vision: dict[str, Any] | None = None, *, side: int = SIDE) -> Tower:
    """The real architecture with random weights, or its text tower beside a smaller image tower."""
    config = open_clip.get_model_config(ARCHITECTURE)
    config = {**config, "vision_cfg": vision or config["vision_cfg"]}
    size, layers = (side, TAPS) if vision is None else (None, None)
    weights = random_weights(config, seed=0)
    return assemble_tower(
        config, weights, name=ARCHITECTURE, image_size=size, layers=layers, device="cpu", precision="fp32"
    )


def peak() -> int:
    """The most bytes that this process has held so far: VmHWM, since ru_maxrss begins with what the parent held."""
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


def first_of(dataset: Dataset, count: int) -> Dataset:
    """The first pictures of each category."""
    chosen = [sample for name in dataset.categories for sample in dataset.select(categories=[name]).samples[:count]]
    return Dataset(dataset.name, dataset.root, dataset.layout, tuple(chosen), dataset.finding)


def projections(row: Row) -> tuple[int, int]:
    """The matrix products of a layer and a picture that a method's head cannot do without, in training and at test."""
    head = row.facts.get("head", "none")
    return {"none": (0, 0), "linear": (2, 1), "efa": (2, len(row.facts.get("stacks", ())))}[head]


def seconds_of_a_projection(tower: Tower, *, rounds: int = 9) -> float:
    """Seconds of the matrix product of one layer of a head and one picture."""
    tokens, weight = torch.randn(tower.spec.grid**2, tower.spec.width), torch.randn(tower.spec.width, tower.spec.joint)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        tokens @ weight
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def measure(folder: Path) -> dict[str, Any]:
    """Cache and bench below `folder`; what it took, as JSON can hold it."""
    flush_denormals()
    tower = tower_of()
    facts: dict[str, Any] = {"tower": peak(), "threads": torch.get_num_threads()}
    trained, tested = (open_dataset(text, generated=folder / "data") for text in (TRAINED, TESTED))
    store = Store.create(folder / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    encode = Phrases(tower)

    def bench(name: str, *datasets: Dataset) -> Bench:
        plan = Plan(methods=METHODS, train_on=datasets[:1], test_on=datasets[1:], epochs=1, batch_size=BATCH)
        return Bench(plan, tower, encode, store, RowFolder(folder / name / "rows"), folder / name / "heads")

    whole = bench("whole", trained, tested)
    samples, parts = needed(whole.plan, whole.entrants)
    report = extract(store, Projected(tower), samples, parts)
    assert report.encoded == len(samples), report.failed
    store.refresh()
    facts |= {"cached": peak(), "bytes": store.size_bytes, "pictures": len(samples), "caching": report.seconds}
    start = time.perf_counter()
    few = bench("few", first_of(trained, 2), first_of(tested, 1)).run()  # it makes the detectors read all phrases
    assert not any(row.error for row in few.rows), [row.error for row in few.rows]
    phrases = len(encode._known)
    facts |= {"few": time.perf_counter() - start, "phrases": phrases, "text": encode.seconds}
    before = seconds_of_a_projection(tower)
    start = time.perf_counter()
    rows = whole.run().rows
    facts |= {
        "bench": time.perf_counter() - start,
        "peak": peak(),
        "projection": (before + seconds_of_a_projection(tower)) / 2,
    }
    assert len(encode._known) == phrases
    assert not any(row.error for row in rows), [row.error for row in rows]
    facts["trained"], facts["tested"] = len(trained.samples), len(tested.samples)
    facts["methods"] = {
        row.method: {
            "training": row.facts["train_seconds"] / len(trained.samples),
            "test": row.seconds / len(tested.samples),
            "projections": projections(row),
        }
        for row in rows
    }
    return facts


def test_a_bench_of_real_size(tmp_path: Path, figure: Any) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    if (free := shutil.disk_usage(tmp_path).free) < DISK:
        pytest.skip(f"the store needs {DISK / 1e9:.0f} GB of disk, {free / 1e9:.1f} GB are free")
    if (memory := available_memory()) is not None and memory < MEMORY:
        pytest.skip(f"it may take {MEMORY / 1e9:.0f} GB of memory, {memory / 1e9:.1f} GB are free")
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])

    trained, tested, threads = found["trained"], found["tested"], found["threads"]
    what = f"{ARCHITECTURE} at {SIDE}"
    figure(
        f"{what}: memory at the peak, all prompt methods in one bench",
        found["peak"] / 1e9,
        goal=f"<= {MEMORY / 1e9:.0f}",
        unit="GB",
        note=f"{found['pictures']} pictures, {found['bytes'] / 1e9:.3g} GB cached; {found['tower'] / 1e9:.3g} GB with "
        f"the tower alone, {found['cached'] / 1e9:.3g} GB after caching",
    )
    figure(
        f"{what}: phrases through the text tower",
        1e3 * found["text"] / found["phrases"],
        unit="ms each",
        note=f"once for each phrase: {found['phrases']} phrases, {threads} thread(s)",
    )
    floor = 0.0
    for method, each in found["methods"].items():
        least = [len(TAPS) * count * found["projection"] for count in each["projections"]]
        floor += least[0] * trained + least[1] * tested
        words = [f"training: {1e3 * each['training']:.0f} ms"] if each["training"] else []
        if least[1]:
            words.append(f"the matrix products of its head: {1e3 * least[0]:.0f} and {1e3 * least[1]:.0f} ms")
        figure(f"{what}: {method}, test", 1e3 * each["test"], unit="ms a picture", note="; ".join(words))
    figure(
        f"{what}: all of these in one bench, of the matrix products of their heads",
        found["bench"] / floor,
        note=f"{trained} pictures to train, one epoch, {tested} to test; {found['bench']:.3g} s with reading, metrics "
        f"and prompt learning, without phrases; {threads} thread(s)",
    )


def test_a_step_of_rpl_through_the_real_text_tower(race: Any, figure: Any) -> None:
    tower = tower_of({"image_size": 28, "patch_size": 14, "width": 64, "head_width": 32, "layers": 4})
    anchors = unit(tower.encode_text([f"a good {SUBJECT}", f"a damaged {SUBJECT}"]))
    learner: Regulated = learners.create("rpl").build(Lesson(tower.text, SUBJECT, anchors, 0))
    optimiser = torch.optim.Adam(learner.parameters(), lr=1e-3)
    draws = np.random.default_rng(0).standard_normal((BATCH, tower.spec.joint), np.float32)
    samples = tuple(
        Sample(f"{index}.png", "random", "bottle", "test", None, None, index % 2, "hole")  # type: ignore[arg-type]  # no picture is read
        for index in range(BATCH)
    )
    features = Features(samples, {CLS: torch.from_numpy(draws)})

    def step() -> None:
        terms = learner.loss(features)
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()

    @torch.no_grad()
    def forward() -> None:
        learner.prompts()

    outcome = race(step, forward, rounds=7)
    figure(
        "RPL, text tower of ViT-L/14: a step, in forwards of its two prompts",
        1 / outcome.ratio,
        goal="<= 3",
        note=f"{1e3 * outcome.ours:.0f} ms a step of {BATCH} pictures, 15 names, {torch.get_num_threads()} thread(s); "
        "the least is 2, a forward and the gradients of what is not a weight",
    )


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
