"""What intervals cost: against measuring every draw anew, beside the metrics of a category, and in a whole bench.

Run: pytest benchmarks/perf/test_uncertainty.py --benchmark-only -s
"""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.clip import TextEncoder, flush_denormals, load_tower
from stackclip.data import open_dataset
from stackclip.metrics import PIXEL_METRICS, PixelMetrics
from stackclip.metrics.counts import PixelCounter, PixelCounts
from stackclip.metrics.evidence import Evidence
from stackclip.metrics.uncertainty import DRAWS, draw_metrics
from stackclip.ops.regions import Runs, label_regions
from stackclip.types import CLS, MASK

SIDE, PICTURES = 518, 83
NOTE = f"{PICTURES} maps of {SIDE} x {SIDE}, {DRAWS} draws"
METHODS = ("precise", "fuzzy", "stacked")

Array = NDArray[Any]


@cache
def category() -> tuple[Array, list[Runs]]:
    """Smooth float32 maps (B, H, W) and regions: 2 % of the pixels are anomalous, a quarter of the pictures normal."""
    draw = np.random.default_rng(0)
    maps, runs = np.empty((PICTURES, SIDE, SIDE), np.float32), []
    for index in range(PICTURES):
        mask = np.zeros((SIDE, SIDE), bool)
        for _ in range(2 if index % 4 else 0):
            y, x, height, width = *draw.integers(0, SIDE - 100, size=2), *draw.integers(30, 90, size=2)
            mask[y : y + height, x : x + width] = True
        noise = ndimage.zoom(draw.normal(size=(37, 37)), SIDE / 37, order=1)
        maps[index] = 1 / (1 + np.exp(-(noise + mask)))
        runs.append(label_regions(mask))
    return maps, runs


def counted(pictures: int = PICTURES) -> PixelCounts:
    maps, runs = category()
    counter = PixelCounter()
    for index in range(pictures):
        counter.add(maps[index % PICTURES], runs[index % PICTURES])
    return counter.counts()


def drawn(pictures: int = PICTURES) -> dict[str, Array]:
    labels = np.array([len(category()[1][index % PICTURES]) > 0 for index in range(pictures)])
    return draw_metrics(Evidence(labels, None, counted(pictures)))


def exact(pictures: Array) -> dict[str, float]:
    maps, runs = category()
    metrics = PixelMetrics()
    for index in pictures:
        metrics.add(maps[index], runs[index])
    return dict(metrics.compute().values)


def test_intervals_against_measuring_each_draw(race: Any, figure: Any) -> None:
    weights = np.random.default_rng(0).multinomial(PICTURES, np.full(PICTURES, 1 / PICTURES), size=DRAWS)
    found = drawn()
    for index in range(3):
        wanted = exact(np.repeat(np.arange(PICTURES), weights[index]))
        for name in PIXEL_METRICS[:4]:
            assert found[name][index] == pytest.approx(wanted[name], abs=1e-3)
    once = partial(exact, np.arange(PICTURES))
    outcome = race(drawn, once, rounds=5)
    name = "pixel intervals, than exact pixel metrics of each draw"
    figure(name, DRAWS * outcome.ratio, goal=">= 100", note=NOTE)
    figure("pixel intervals, time, of that of the exact pixel metrics", 1 / outcome.ratio, note=NOTE)
    figure("pixel intervals, time", outcome.ours, unit="s", note=NOTE)


def test_the_memory_of_intervals(figure: Any) -> None:
    drawn()
    for pictures in (PICTURES, 3 * PICTURES):
        tracemalloc.start()
        drawn(pictures)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        note = f"{pictures} maps of {SIDE} x {SIDE}"
        figure(f"pixel intervals, memory at the peak, {pictures} maps", peak / 2**20, unit="MiB", note=note)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], int]:
    """Test three methods on the generated set that a bench takes by default; their heads are trained."""
    folder = tmp_path_factory.mktemp("ci")
    flush_denormals()
    tower = load_tower("stackclip-tiny")
    training, tested = (
        open_dataset(f"synthetic[part={part}]", generated=folder / "data") for part in ("training", "combinations")
    )
    store = Store.create(folder / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    pictures = [sample for each in (training, tested) for sample in each.select(split="test").samples]
    extract(store, tower, pictures, {CLS, MASK, *tower.spec.taps})
    encode, runs = TextEncoder(tower), itertools.count()

    def test(ci: bool) -> int:
        plan = Plan(methods=METHODS, train_on=(training,), test_on=(tested,), epochs=1, ci=ci)
        rows = RowFolder(Path(folder / f"rows{next(runs)}"))
        outcome = Bench(plan, tower, encode, store, rows, folder / "heads", resident="off").run()
        assert not any(row.error for row in outcome.rows)
        return outcome.computed

    test(False)
    return test


def test_a_bench_with_intervals(bench: Callable[[bool], int], race: Any, figure: Any) -> None:
    cells = bench(True)
    outcome = race(partial(bench, True), partial(bench, False), rounds=3)
    note = f"{cells} cells of 20 generated pictures, stackclip-tiny, heads trained"
    figure("bench --ci, testing, of the time without", outcome.ours / outcome.peer, note=note)
    figure("bench --ci, added to a cell", (outcome.ours - outcome.peer) / cells, goal="<= .5", unit="s", note=note)
