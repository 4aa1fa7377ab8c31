"""From the logits of patches to metrics: maps of a head, the look through them, and the metrics, in ns a pixel.

Processor time of this thread, since memory is shared with whatever else runs on the machine.

Run: pytest benchmarks/perf/test_maps.py --benchmark-only -s
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import thread_time
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.benchmarks.evaluation import Evaluation
from stackclip.methods import Inspector
from stackclip.metrics import StreamedPixelMetrics
from stackclip.ops.maps import upsample
from stackclip.ops.probabilities import probability_maps
from stackclip.ops.regions import Runs, label_regions
from stackclip.ops.small_maps import Looked
from stackclip.types import ANOMALOUS, NORMAL, Prediction, Sample

GRID, SIDE, LAYERS, BATCH, BATCHES = 37, 518, 4, 8, 10
PIXELS = BATCH * SIDE**2
NOTE = f"{BATCH} pictures, {LAYERS} layers, {GRID} to {SIDE}"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def nanoseconds(rounds: int = 9, **runners: Callable[[], object]) -> dict[str, float]:
    """Median processor time of each runner, called in turn after a round that does not count, for each pixel."""
    took: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(-1, rounds):
        for name, runner in runners.items():
            start = thread_time()
            runner()
            if turn >= 0:
                took[name].append(thread_time() - start)
    return {name: 1e9 * median(each) / PIXELS for name, each in took.items()}


def logits(seed: int = 0) -> Tensor:
    """The logits (L, B, 1, g, g) of a batch, smooth as those of neighbouring patches are."""
    noise = torch.randn(LAYERS, BATCH, GRID, GRID, generator=torch.Generator().manual_seed(seed))
    return 6 * F.avg_pool2d(noise, 5, stride=1, padding=2)[:, :, None] - 1


WEIGHTS = torch.ones(BATCH, 1)


def batchwise(layers: Tensor) -> Tensor:
    """All pictures of a layer at once, every formula a line."""
    total = torch.zeros(BATCH, SIDE, SIDE)
    for each in layers:
        total += torch.sigmoid(upsample(each[:, 0], SIDE))
    return total


def sigmoids() -> None:
    """What no map can do without, on memory that stays in cache."""
    one = torch.zeros(SIDE, SIDE)
    for _ in range(LAYERS * BATCH):
        one.sigmoid_()


def samples_and_runs() -> tuple[tuple[Sample, ...], list[Runs]]:
    masks = torch.zeros(BATCH, SIDE, SIDE, dtype=torch.uint8)
    masks[1::2, 100:180, 200:290] = 1
    samples = tuple(
        Sample(
            f"{n}.png", "random", "x", "test", None, None, ANOMALOUS if n % 2 else NORMAL, "hole" if n % 2 else "good"
        )  # type: ignore[arg-type]  # no picture is read
        for n in range(BATCH)
    )
    return samples, [label_regions(mask) for mask in masks.numpy()]


@torch.inference_mode()
def test_maps_of_a_head(figure: Any) -> None:
    layers = logits()
    torch.testing.assert_close(probability_maps(layers, WEIGHTS, SIDE), batchwise(layers), atol=2e-6, rtol=0)
    found = nanoseconds(
        ours=partial(probability_maps, layers, WEIGHTS, SIDE), batchwise=partial(batchwise, layers), sigmoids=sigmoids
    )
    note = f"{NOTE}: {found['batchwise']:.3g} batch by batch, {found['sigmoids']:.3g} its sigmoids alone, in cache"
    figure("maps of a head: time", found["ours"], goal="<= 6", unit="ns a pixel", note=note)


@torch.inference_mode()
def test_the_look_through_maps(figure: Any) -> None:
    maps, (samples, runs) = probability_maps(logits(), WEIGHTS, SIDE), samples_and_runs()
    evaluations = [Evaluation(pixels=None) for _ in range(10)]
    found = nanoseconds(
        ours=lambda: evaluations.pop().add(Prediction(None, maps), samples, runs), read=lambda: maps.numpy().max()
    )
    note = f"{NOTE}; one read pass takes {found['read']:.2g}"
    figure(
        "what an evaluation does with maps besides metrics: time",
        found["ours"],
        goal="<= .5",
        unit="ns a pixel",
        note=note,
    )


@torch.inference_mode()
def test_from_logits_to_metrics(figure: Any) -> None:
    pytest.importorskip("numba")
    batches, (samples, runs) = [logits(seed) for seed in range(BATCHES)], samples_and_runs()

    def category() -> None:
        evaluation = Evaluation(side=SIDE, pixels=StreamedPixelMetrics(), looked=Looked(SIDE))
        for layers in batches:
            evaluation.add(Prediction(None, probability_maps(layers, WEIGHTS, SIDE)), samples, runs)
        evaluation.compute(samples * BATCHES, Inspector())

    took = nanoseconds(5, ours=category)["ours"] / BATCHES
    note = f"{BATCHES} x {NOTE}, streamed metrics, small maps"
    figure("from the logits of patches to pixel metrics: time", took, goal="<= 9", unit="ns a pixel", note=note)
