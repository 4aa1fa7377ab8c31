"""Evaluations that share what measures their maps: each has the figures that it has alone, whoever fails or parts."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from stackclip.benchmarks.equal_maps import EqualMaps
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.metrics.counts import PixelCounter
from stackclip.ops.regions import Runs
from stackclip.types import Prediction, Sample

SIDE, BATCHES = 8, 4
RUNS: Runs = np.array([[0, 3, 0], [16, 20, 1]], np.uint32)  # of every mask


def samples(batch: int) -> tuple[Sample, ...]:
    return tuple(
        Sample(f"{batch}-{at}.png", "d", "c", "test", None, None, 0, "good")  # type: ignore[arg-type]  # no picture is read
        for at in range(2)
    )


def maps_of(numbers: tuple[int, ...], batch: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(100 * batch + numbers[batch])
    return torch.rand(2, SIDE, SIDE, generator=draws)


def evaluated(together: dict[str, tuple[int, ...]], stops: dict[str, int] | None = None) -> dict[str, Evaluation]:
    """Evaluations by the numbers that their maps of each batch are drawn by; some stop at a batch."""
    equal, stops = EqualMaps(), stops or {}
    found = {name: Evaluation(SIDE, counter=PixelCounter(), equal=equal) for name in together}
    for batch in range(BATCHES):
        for name, numbers in together.items():
            if batch < stops.get(name, BATCHES):
                found[name].add(Prediction(None, maps_of(numbers, batch)), samples(batch), [RUNS, RUNS])
    equal.settle()
    return found


def figures(one: Evaluation) -> object:
    assert one.pixels is not None
    assert one.counter is not None
    measured = one.equal.measured(one, one.pixels) if one.equal else one.pixels.compute()
    counts = one.counter.counts()
    return measured.values, {each.name: np.asarray(getattr(counts, each.name)).tolist() for each in fields(counts)}


@pytest.mark.parametrize(
    "together",
    [
        {"a": (0, 0, 0, 0), "b": (0, 0, 0, 0), "c": (1, 0, 0, 0)},
        {"a": (0, 0, 0, 0), "b": (0, 0, 1, 1), "c": (0, 0, 1, 2), "d": (0, 0, 0, 1), "e": (0, 0, 1, 2)},
        {"a": (0, 1, 0, 0), "b": (0, 0, 0, 0), "c": (0, 0, 0, 0), "d": (0, 1, 0, 1)},
    ],
)
def test_each_has_the_figures_that_it_has_alone(together: dict[str, tuple[int, ...]]) -> None:
    found = evaluated(together)
    for name, numbers in together.items():
        assert figures(found[name]) == figures(evaluated({name: numbers})[name])


def test_who_was_measured_with_one_that_failed_goes_on_alone() -> None:
    together = {"a": (0, 0, 0, 0), "b": (0, 0, 0, 0), "c": (0, 0, 0, 1)}
    for stop in range(1, BATCHES):
        found = evaluated(together, {"a": stop})
        for name in "bc":
            assert figures(found[name]) == figures(evaluated({name: together[name]})[name])


def test_equal_maps_have_one_taker_and_others_their_own() -> None:
    found = evaluated({"a": (0, 0, 0, 0), "b": (0, 0, 0, 0), "c": (0, 0, 0, 1)})
    assert found["a"].pixels is found["b"].pixels is not found["c"].pixels
    assert found["a"].equal is not None
    assert [found["a"].equal.is_served(found[name]) for name in "abc"] == [False, True, False]
