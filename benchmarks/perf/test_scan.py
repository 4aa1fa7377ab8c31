"""A bench of 1, 2, 4 and 8 prompt methods over one cached set: one scan serves them all.

Run: pytest benchmarks/perf/test_scan.py --benchmark-only -s
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.clip import TextEncoder, Tower, flush_denormals
from stackclip.clip.assembly import assemble_tower
from stackclip.clip.doubles import random_weights
from stackclip.data import open_dataset
from stackclip.types import CLS, MASK, Part, Sample, TowerSpec

METHODS = ("precise", "fuzzy", "stacked", *(f"fuzzy[lr={rate}]" for rate in (0.002, 0.003, 0.004, 0.005, 0.006)))
CURVE = (1, 2, 3, 4, 8)
PICTURES = "synthetic[{}categories=2,per_category={},train_good=1,size=56]"
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 4}
SHAPES = {
    "ViT-L/14 at 518": {"image_size": 518, "patch_size": 14, "width": 1024, "head_width": 64, "layers": 4},
    "stackclip-tiny": {"image_size": 112, "patch_size": 16, "width": 128, "head_width": 32, "layers": 4},
}
JOINT = {"ViT-L/14 at 518": 768, "stackclip-tiny": 96}
PER_CATEGORY = {"ViT-L/14 at 518": 4, "stackclip-tiny": 100}
DOMINATES = 6  # as much time as one method takes for a picture, to read it from the slow store


@dataclass
class Link:
    """What lies between the store and its reader: it counts bytes, and lets no more through than `rate` a second."""

    rate: float = float("inf")
    bytes: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def carry(self, count: int) -> None:
        with self._lock:
            self.bytes += count
            time.sleep(count / self.rate)


class Drawn:
    """The tower's sizes, and features drawn at random in place of its own."""

    def __init__(self, tower: Tower) -> None:
        self.spec, self.prepare = tower.spec, tower.prepare
        self._draws = torch.Generator().manual_seed(0)

    def encode(self, pictures: Tensor, parts: Iterable[Part]) -> dict[Part, Tensor]:
        return {part: torch.randn(len(pictures), *self.spec.shape(part), generator=self._draws) for part in parts}


@dataclass
class Setting:
    """A store of one tower's shapes, data sets, and benches over them whose heads are trained."""

    tower: Tower
    encode: TextEncoder
    store: Store
    training: Any
    tested: Any
    folder: Path
    link: Link

    def __post_init__(self) -> None:
        self._runs = itertools.count()

    def bench(self, count: int, *, place: str) -> None:
        """Test that many methods on all tested pictures, and train those that are not trained."""
        plan = Plan(methods=METHODS[:count], train_on=(self.training,), test_on=(self.tested,), epochs=1, batch_size=2)
        rows = RowFolder(self.folder / place)
        outcome = Bench(plan, self.tower, self.encode, self.store, rows, self.folder / "heads", resident="off").run()
        errors = [row.error for row in outcome.rows if row.error]
        assert not errors, errors[0]
        assert outcome.computed == len(outcome.rows)

    def again(self, count: int) -> None:
        """Test anew with the heads that are there."""
        self.bench(count, place=f"rows{next(self._runs)}")


@pytest.fixture(scope="module", params=list(SHAPES), ids=["large", "tiny"])
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Setting]]:
    name = request.param
    folder = tmp_path_factory.mktemp("scan")
    config = {"embed_dim": JOINT[name], "vision_cfg": SHAPES[name], "text_cfg": TEXT}
    tower = assemble_tower(config, random_weights(config, seed=0), name=name, device="cpu")
    training, tested = (
        open_dataset(PICTURES.format(part, PER_CATEGORY[name]), generated=folder / "data")
        for part in ("", "part=combinations,")
    )
    store = Store.create(folder / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, Drawn(tower), [*training, *tested], {CLS, MASK, *tower.spec.taps})
    link, whole = Link(), store.batch
    each = store.size_bytes // len(store)

    def batch(samples: Sequence[Sample], parts: Iterable[Part], **words: Any) -> Any:
        arrays = whole(samples, parts, **words)
        link.carry(len(samples) * each)
        return arrays

    store.batch = batch  # type: ignore[method-assign]
    made = Setting(tower, TextEncoder(tower), store, training, tested, folder, link)
    flush_denormals()
    made.bench(len(METHODS), place="first")
    yield name, made
    torch.set_flush_denormal(False)


def products(tower: TowerSpec, pictures: int) -> None:
    """The patches of so many pictures times the weights of one head."""
    tokens, weight = torch.ones(tower.grid**2, tower.width), torch.ones(tower.joint, tower.width)
    for _ in range(pictures * len(tower.taps)):
        tokens @ weight.mT


@pytest.mark.parametrize("slow", [False, True], ids=["memory", "slow"])
def test_one_scan_of_several_methods(setting: tuple[str, Setting], slow: bool, race: Any, figure: Any) -> None:
    name, made = setting
    pictures = len(made.tested.select(split="test").samples)
    made.link.rate = float("inf")
    read = []
    for count in (8, 1):
        made.link.bytes, start = 0, time.perf_counter()
        made.again(count)
        read.append(made.link.bytes)
        took = time.perf_counter() - start
    assert read[0] == read[1]  # eight methods read what one reads
    if slow:
        made.link.rate = read[1] / (DOMINATES * took)
    runs = {str(count): partial(made.again, count) for count in CURVE[1:]}
    runs["products"] = partial(products, made.tower.spec, pictures)
    outcome = race(partial(made.again, 1), runs, rounds=3 if slow else 5)
    seconds = {1: outcome.ours, **{count: outcome.peers[str(count)] for count in CURVE[1:]}}
    least = 1 + 2 * outcome.peers["products"] / outcome.ours  # if methods shared all but the products of their heads
    curve = ", ".join(f"{count}: {took / seconds[1]:.2f}" for count, took in seconds.items())
    held = f"slowed until reading takes {DOMINATES} times one method's work" if slow else "in memory"
    figure(
        f"test of 3 methods, of 1: {name}, store {held}",
        seconds[3] / seconds[1],
        goal="<= 1.5" if slow else "",
        note=f"{least:.2f} is the least, as each has the matrix products of a head of its own; "
        f"{pictures} pictures, {1e3 * seconds[1] / pictures:.3g} ms each for 1; by methods {curve}",
    )
