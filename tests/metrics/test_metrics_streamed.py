"""The streamed pixel metrics, against the exact ones: never farther from them than their own bound says."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from stackclip.errors import NonFiniteScores
from stackclip.metrics import (
    PIXEL_METRICS,
    TOLERANCE,
    Measured,
    PixelMetrics,
    StreamedPixelMetrics,
    aupro_name,
    bins,
    cells,
)
from stackclip.metrics import streamed as streamed_form
from stackclip.ops.regions import Runs, label_regions

Array = NDArray[Any]
CFLOW = PIXEL_METRICS[4]
TINY, HUGE = np.float32(1e-45), np.float32(3e38)

SHAPES: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "random": lambda z, draw: z,
    "tied": lambda z, draw: np.round(2 * z) / 2,
    "two values": lambda z, draw: (z > 0.5).astype(z.dtype),
    "constant": lambda z, draw: np.full_like(z, -0.7),
    "saturated": lambda z, draw: 4 / (1 + np.exp(-25 * z)),
    "crowded": lambda z, draw: 1 + np.round(z) * 2**-20,
    "negative": lambda z, draw: -np.exp(z),
    "denormal": lambda z, draw: np.round(z) * TINY,
    "huge": lambda z, draw: z / 10 * HUGE,
    "signed zeros": lambda z, draw: np.where(abs(z) < 1, draw.choice([0.0, -0.0], z.shape), z),
    "of all sizes": lambda z, draw: draw.choice([-1, 1], z.shape) * np.exp(np.clip(20 * z, -80, 80)),
    "few among many": lambda z, draw: np.where(draw.random(z.shape) < 0.9, 0.5, z),
    "random bits": lambda z, draw: np.nan_to_num(
        draw.integers(0, 2**32, z.shape, np.uint32).view(np.float32), nan=1, posinf=2, neginf=-2
    ).astype(z.dtype),
}


def case(shape: str, seed: int, dtype: Any = np.float32, pictures: int = 4) -> tuple[list[Array], list[Runs]]:
    """Maps of one category and the regions of their masks; the second picture is normal."""
    draw = np.random.default_rng(seed)
    masks = np.zeros((pictures, 15, 20), bool)
    for picture in range(pictures):
        for _ in range(0 if picture == 1 else draw.integers(1, 4)):
            y, x = draw.integers(0, 12), draw.integers(0, 17)
            masks[picture, y : y + draw.integers(1, 7), x : x + draw.integers(1, 7)] = True
    z = draw.normal(size=masks.shape) + draw.uniform(0, 3) * masks
    return list(SHAPES[shape](z, draw).astype(dtype)), [label_regions(mask) for mask in masks]


def smooth(pictures: int, seed: int = 0, side: int = 224) -> tuple[Array, list[Runs]]:
    """Maps as a detector gives them: upsampled from patches, some higher where there is a defect."""
    draw = np.random.default_rng(seed)
    masks = np.zeros((pictures, side, side), bool)
    maps = np.empty(masks.shape, np.float32)
    for picture in range(pictures):
        maps[picture] = ndimage.zoom(draw.normal(size=(16, 16)), side / 16, order=1)
        for _ in range(2 if picture % 3 else 0):
            y, x, height, width = *draw.integers(0, side - 40, size=2), *draw.integers(10, 40, size=2)
            masks[picture, y : y + height, x : x + width] = True
    return maps + masks, [label_regions(mask) for mask in masks]


def fill(metrics: Any, maps: Sequence[Array] | Array, runs: Sequence[Runs]) -> Any:
    for scores, regions in zip(maps, runs, strict=True):
        metrics.add(scores, regions)
    return metrics


def streamed(maps: Sequence[Array] | Array, runs: Sequence[Runs]) -> Measured:
    found: Measured = fill(StreamedPixelMetrics(), maps, runs).compute()
    return found


def exact(maps: Sequence[Array] | Array, runs: Sequence[Runs]) -> Measured:
    found: Measured = fill(PixelMetrics(), maps, runs).compute()
    return found


def assert_within(found: Measured, wanted: Measured) -> None:
    assert found.form == "streamed"
    for name, value in wanted.values.items():
        if found.bounds[name] < np.inf:
            assert abs(found.values[name] - value) <= found.bounds[name], name
        else:
            assert name == CFLOW
            assert "the exact form does" in found.undefined[name]
    for name, reason in wanted.undefined.items():
        assert found.undefined[name] == reason or found.bounds[name] == np.inf


@pytest.fixture(params=["compiled", "numpy", "coarse"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The loops of numba, those of numpy, and cells so wide that bins hold scores of many sizes."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(bins, "compiled", lambda: None)
    if request.param == "coarse":
        monkeypatch.setattr(cells, "WITHIN", 25)
        monkeypatch.setattr(cells, "CELLS", 1 << 7)
    monkeypatch.setattr(StreamedPixelMetrics.__init__, "__defaults__", (1 << 8,))  # as few bins as there can be
    return str(request.param)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float32, float]))
def test_no_value_is_farther_from_the_exact_one_than_its_bound(form: str, shape: str, seed: int, dtype: type) -> None:
    maps, runs = case(shape, seed, dtype)
    assert_within(streamed(maps, runs), exact(maps, runs))


@pytest.mark.parametrize("shape", ["tied", "saturated", "crowded", "of all sizes"])
def test_aupro_up_to_another_limit_has_a_bound_too_and_changes_no_other(form: str, shape: str) -> None:
    maps, runs = case(shape, 5)
    limits = (0.002, 0.05, 0.9)
    found, wanted = (fill(each, maps, runs) for each in (StreamedPixelMetrics(limits=limits), PixelMetrics(limits)))
    assert_within(found.compute(), wanted.compute())
    assert {aupro_name(limit) for limit in limits} <= found.compute().bounds.keys()
    others = {name: value for name, value in found.compute().values.items() if "@" not in name}
    assert others == streamed(maps, runs).values


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(sorted(SHAPES)), random=st.randoms())
def test_any_order_gives_the_same_within_the_bounds(form: str, seed: int, shape: str, random: Any) -> None:
    maps, runs = case(shape, seed)
    shuffled = StreamedPixelMetrics()
    for index in random.sample(range(4), 4):
        shuffled.add(maps[index], runs[index])
        if random.random() < 0.5:
            shuffled.compute()  # which counts what was kept so far, and lays out the bins for it
    assert_within(shuffled.compute(), exact(maps, runs))


def test_numpy_and_numba_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    maps, runs = smooth(30)
    compiled = streamed(maps, runs)
    monkeypatch.setattr(bins, "compiled", lambda: None)
    assert streamed(maps, runs) == compiled


@pytest.mark.parametrize("gain", [1, 3, 6, 10, 25, 60])
def test_the_bound_is_below_the_tolerance_for_maps_as_detectors_give_them(gain: float) -> None:
    maps, runs = smooth(40)
    maps = expit(gain * maps, dtype=np.float32)
    found = streamed(maps, runs)
    assert found.bound <= TOLERANCE
    assert_within(found, exact(maps, runs))


def test_half_floats_and_whole_numbers_need_no_bin_of_their_own_to_be_told_apart() -> None:
    maps, runs = smooth(30)
    for scores in (np.round(100 * maps), maps.astype(np.float16), np.round(8 * maps) / 64):
        found = streamed(scores, runs)
        assert found.bound <= 2e-7
        assert_within(found, exact(scores.astype(np.float32), runs))


def test_a_score_just_above_another_is_not_taken_for_it() -> None:
    low, high = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    runs = label_regions(np.array([[True, False]]))
    assert streamed([np.array([[high, low]])], [runs]).values["pixel_AUROC"] == 1
    assert streamed([np.array([[low, low]])], [runs]).values["pixel_AUROC"] == 0.5
    assert streamed([np.array([[0.0, -0.0]], np.float32)], [runs]).values["pixel_AUROC"] == 0.5
    wide = streamed([np.array([[1 + 1e-15, 1.0]])], [runs])  # as float32 the two are one, and the bound says so
    assert wide.values["pixel_AUROC"] == 0.5
    assert wide.bounds["pixel_AUROC"] == pytest.approx(0.5)


def test_memory_does_not_grow_with_the_pictures() -> None:
    maps, runs = smooth(4, side=518)
    streamed(maps, runs)  # imports and compiles
    peaks = []
    for rounds in (6, 18):
        tracemalloc.start()
        metrics = StreamedPixelMetrics()
        for turn in range(rounds):
            fill(metrics, maps + np.float32(turn % 3 / 7), runs)
        metrics.compute()
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    assert max(peaks) < 64
    assert peaks[1] < 1.05 * peaks[0]


def test_scores_beyond_the_first_million_find_their_bins() -> None:
    maps, runs = smooth(24)
    widening = maps * np.float32(2) ** np.arange(24, dtype=np.float32)[:, None, None]  # each wider than all before it
    for scores in (widening, widening[::-1], np.abs(widening), expit(widening / 1000)):
        assert_within(streamed(scores, runs[: len(scores)]), exact(scores, runs))


def halves(count: int) -> tuple[Array, Array]:
    return np.full(count, 0.5, np.float32), np.full(2, 0.5, np.float32)


def test_more_than_four_thousand_million_scores_in_one_bin_are_counted(form: str) -> None:
    counted = bins.ScoreBins(1 << 8)
    counted.count(*halves(5), np.array([1]), np.array([2]), np.array([0.25]))
    counted.sort()
    counted.every[counted.every == 5] = np.uint32(2**32 - 1)  # as if there had been so many
    counted._total = 2**32 - 1
    counted.count(*halves(3), np.array([2]), np.array([1]), np.array([0.25]))
    counted.sort()
    assert int(counted.every.max()) == 2**32 + 2
    assert int(counted.hits.max()) == 3
    assert counted.shares.max() == 0.75


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(sorted(SHAPES)))
def test_the_bins_above_a_score_hold_what_is_above_it(form: str, seed: int, shape: str) -> None:
    maps, _ = case(shape, seed)
    scores, draw = np.concatenate(maps).reshape(-1), np.random.default_rng(seed)
    counted = bins.ScoreBins(1 << 8)
    for part in np.array_split(scores, 3):
        counted.count(
            part, np.array([part.min(), part.max()]), *(np.empty(0, dtype) for dtype in (np.int64, np.int64, float))
        )
    counted.sort()
    asked = np.append(draw.choice(scores, 20), draw.normal(size=20).astype(np.float32))
    first, stop = counted.above(asked, rounded=False)
    for score, most, least in zip(asked, first, stop, strict=True):
        assert int(counted.every[least:].sum()) <= np.count_nonzero(scores > score) <= int(counted.every[most:].sum())
        if most == least:
            assert np.count_nonzero(scores > score) == int(counted.every[least:].sum())


@pytest.mark.parametrize(
    ("mask", "reason"),
    [(np.zeros((3, 4), dtype=bool), "no anomalous pixel"), (np.ones((3, 4), dtype=bool), "no normal pixel")],
)
def test_one_class_alone_leaves_all_undefined_with_the_reason(mask: Array, reason: str) -> None:
    measured = streamed([np.arange(12.0).reshape(3, 4)], [label_regions(mask)])
    assert not measured.values
    assert measured.undefined == dict.fromkeys(PIXEL_METRICS, reason)
    assert StreamedPixelMetrics().compute().undefined == dict.fromkeys(PIXEL_METRICS, "no anomalous pixel")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_refused_leaves_no_trace(wrong: float) -> None:
    maps, runs = case("random", 0)
    metrics = fill(StreamedPixelMetrics(), maps, runs)
    scores = np.ones((2, 3), dtype=np.float32)
    scores[1, 1] = wrong
    with pytest.raises(NonFiniteScores, match="1 of 6 pixels"):
        metrics.add(scores, label_regions(np.zeros((2, 3))))
    with pytest.raises(ValueError, match="inside the 4 pixels"):
        metrics.add(np.ones((2, 2)), label_regions(np.eye(4)))
    with pytest.raises(ValueError, match=r"a map is \(H, W\)"):
        metrics.add(np.ones(4), label_regions(np.eye(2)))
    assert metrics.compute() == streamed(maps, runs)


def test_the_given_map_is_neither_kept_nor_changed() -> None:
    maps, runs = smooth(30)
    metrics, reused = StreamedPixelMetrics(), np.empty_like(maps[0])
    for scores, regions in zip(maps, runs, strict=True):
        reused[:] = scores
        metrics.add(reused, regions)
        np.testing.assert_array_equal(reused, scores)
    assert metrics.compute() == streamed(maps, runs)


def parts(maps: Sequence[Array] | Array, runs: Sequence[Runs], *cuts: int) -> list[StreamedPixelMetrics]:
    """What is counted of the maps between the cuts, by one each."""
    edges = (0, *cuts, len(maps))
    return [fill(StreamedPixelMetrics(), maps[start:stop], runs[start:stop]) for start, stop in pairwise(edges)]


def together(counted: Sequence[StreamedPixelMetrics]) -> StreamedPixelMetrics:
    """All of it, after a journey to another process."""
    first, *others = pickle.loads(pickle.dumps(counted))
    for each in others:
        first.merge(each)
    return first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 10**6), shape=st.sampled_from(sorted(SHAPES)), cuts=st.tuples(*[st.integers(0, 4)] * 2))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_of_a_category_add_up_within_the_bounds(
    form: str, dtype: type, seed: int, shape: str, cuts: tuple[int, int]
) -> None:
    maps, runs = case(shape, seed, dtype)
    assert_within(together(parts(maps, runs, *sorted(cuts))).compute(), exact(maps, runs))


@pytest.mark.parametrize("scale", [1, 1e-3, -1e4])
def test_counts_of_other_bins_add_up_within_the_bounds(form: str, monkeypatch: Any, scale: float) -> None:
    monkeypatch.setattr(streamed_form, "_FIRST", 1)  # each part lays out its own bins, by its first map
    maps, runs = smooth(6, side=64)
    maps[3:] = maps[3:] * np.float32(scale) + np.float32(scale)
    counted = parts(maps, runs, 3)
    before = counted[1].compute()
    first, second = counted
    first.merge(second)
    assert second.compute() == before
    assert_within(first.compute(), exact(maps, runs))
    first.add(maps[0], runs[0])
    assert_within(first.compute(), exact([*maps, maps[0]], [*runs, runs[0]]))


def test_counts_of_the_same_bins_add_up_exactly(form: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(streamed_form, "_FIRST", 1)
    maps, runs = smooth(4, side=64)
    twice = together(parts([*maps, *maps], [*runs, *runs], 4))
    once = fill(StreamedPixelMetrics(), maps, runs)
    found, wanted = twice.compute(), once.compute()
    for name, value in wanted.values.items():
        assert found.values[name] == pytest.approx(value, abs=1e-12 + found.bounds[name] + wanted.bounds[name])
    np.testing.assert_array_equal(twice._bins.every, 2 * once._bins.every)
    np.testing.assert_array_equal(twice._bins.hits, 2 * once._bins.hits)


def test_the_bound_of_merged_counts_is_below_the_tolerance() -> None:
    maps, runs = smooth(24)
    for found in (together(parts(maps, runs, 8, 16)).compute(), streamed(maps, runs)):
        assert found.bound < TOLERANCE


def test_merged_counts_pass_four_thousand_million(form: str) -> None:
    maps, runs = smooth(2, side=64)
    metrics = fill(StreamedPixelMetrics(), maps, runs)
    for _ in range(20):
        metrics.merge(pickle.loads(pickle.dumps(metrics)))
    assert metrics._bins.every.sum(dtype=np.int64) == maps.size << 20 > 1 << 32
    assert metrics._bins.every.dtype == np.int64
    once, many = fill(StreamedPixelMetrics(), maps, runs).compute(), metrics.compute()
    assert abs(many.values["pixel_AUROC"] - once.values["pixel_AUROC"]) <= once.bound + many.bound
