"""A grid of 24 points against one of them, over cached features: text, scans and trainings that are equal are shared.

Run: pytest benchmarks/perf/test_grids.py --benchmark-only -s
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.clip import TextEncoder, Tower, load_tower
from stackclip.data import open_dataset
from stackclip.registry import points_of
from stackclip.types import CLS, MASK

GRIDS = {
    "stackclip": "stackclip[clusters=1|2,head=efa[temperature=1|10]|linear,learner=none|rpl,image_score=text|text+map]",
    "stacked": "stacked[clusters=1|2,head=efa[temperature=1|10|100],image_score=text|text+map,test=object|cluster]",
}
POINTS, ROUNDS = 24, 3
SETS = ("synthetic[categories=4,per_category=40]", "synthetic[part=novel,categories=2,per_category=40]")
STAGES = {  # where each stage is spent: what is within another is counted there alone
    "text": "stackclip.clip.TextEncoder.__call__",
    "training": "stackclip.training.trainee.Trainee.learn",
    "reading": "stackclip.training.sources.FeatureReader._load",
    "testing": "stackclip.benchmarks.testing.Testing.evaluate",
}


@dataclass
class Setting:
    """A store that holds all that is read, and benches over it that find nothing learned and no row."""

    tower: Tower
    store: Store
    training: Any
    tested: Any
    folder: Path
    made: int = 0

    def run(self, methods: Sequence[str]) -> float:
        """CPU seconds of a bench of this process, with texts that no other bench encoded."""
        self.made += 1
        place = self.folder / str(self.made)
        plan = Plan(methods=methods, train_on=(self.training,), test_on=(self.tested,))
        encode = TextEncoder(self.tower)
        bench = Bench(plan, self.tower, encode, self.store, RowFolder(place / "rows"), place / "heads")
        start = time.process_time()
        outcome = bench.run()
        took = time.process_time() - start
        assert not any(row.error for row in outcome.rows)
        assert outcome.computed == len(outcome.rows)
        return took


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    root = tmp_path_factory.mktemp("grids")
    training, tested = (open_dataset(text, generated=root / "data") for text in SETS)
    tower = load_tower("stackclip-tiny", device="cpu")
    store = Store.create(root / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, [*training, *tested], {CLS, MASK, *tower.spec.taps})
    return Setting(tower, store, training, tested, root)


@contextmanager
def by_stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """CPU seconds of each stage; of those within one another the inner one's."""
    spent: Counter[str] = Counter()
    within: list[float] = [0.0]

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **words: Any) -> Any:
            start = time.thread_time()
            within.append(0.0)
            try:
                return function(*given, **words)
            finally:
                took = time.thread_time() - start
                spent[stage] += took - within.pop()
                within[-1] += took

        return call

    with monkeypatch.context() as patched:
        for stage, place in STAGES.items():
            owner, _, name = place.rpartition(".")
            patched.setattr(place, timed(stage, _found(owner, name)))
        yield spent


def _found(owner: str, name: str) -> Callable[..., Any]:
    module, _, kind = owner.rpartition(".")
    found: Callable[..., Any] = getattr(getattr(__import__(module, fromlist=[kind]), kind), name)
    return found


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_against_one_point(name: str, setting: Setting, figure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    points = points_of(GRIDS[name])
    assert len(points) == POINTS
    sides = {"one": (name,), "grid": points}
    setting.run(sides["one"])
    took: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(ROUNDS):
        for side in sorted(sides, reverse=bool(turn % 2)):
            took[side].append(setting.run(sides[side]))
    stages: dict[str, str] = {}
    for side, methods in sides.items():
        with by_stage(monkeypatch) as spent:
            whole = setting.run(methods)
        spent["rest"] = max(0.0, whole - spent.total())
        stages[side] = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in spent.items())
    note = f"CPU seconds by stage, one: {stages['one']}; grid: {stages['grid']}"
    figure(
        f"a grid of {POINTS} points of {name}, of one",
        median(took["grid"]) / median(took["one"]),
        goal="<= 6",
        note=note,
    )
