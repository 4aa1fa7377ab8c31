"""The bootstrap over pictures, against pictures that are really drawn, repeated and measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from stackclip.errors import NonFiniteScores
from stackclip.metrics import IMAGE_METRICS, PIXEL_METRICS, PixelMetrics, uncertainty
from stackclip.metrics.counts import PixelCounter, PixelCounts
from stackclip.metrics.evidence import Evidence, measure
from stackclip.metrics.uncertainty import (
    bootstrap_metrics,
    draw_metrics,
    paired_differences,
)
from stackclip.ops.regions import label_regions

Array = NDArray[Any]
PIXELS = PIXEL_METRICS[:4]


def case(seed: int, pictures: int = 8, side: int = 48, skill: float = 1.0) -> tuple[Array, Array, Array, Array]:
    """Labels (B,), picture scores (B,), maps and masks (B, H, W); `seed` makes the pictures, `skill` what is said."""
    draw = np.random.default_rng(seed)
    labels = np.arange(pictures) % 2
    masks = np.zeros((pictures, side, side), bool)
    for picture in np.flatnonzero(labels):
        for _ in range(draw.integers(1, 3)):
            y, x = draw.integers(0, side - 6, size=2)
            masks[picture, y : y + draw.integers(2, 7), x : x + draw.integers(2, 7)] = True
    noise = [ndimage.zoom(draw.normal(size=(6, 6)), side / 6, order=1) for _ in range(pictures)]
    scores = draw.normal(size=pictures) + skill * labels
    return labels, scores, (np.array(noise) + skill * masks).astype(np.float32), masks


def said(seed: int, **words: Any) -> Evidence:
    labels, scores, maps, masks = case(seed, **words)
    return Evidence(labels, scores, counted(maps, masks))


def counted(maps: Array, masks: Array) -> PixelCounts:
    return PixelCounts.of(maps, [label_regions(mask) for mask in masks])


def image_values(labels: Array, scores: Array) -> list[float]:
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-30)
    return [roc_auc_score(labels, scores), average_precision_score(labels, scores), float(f1.max())]


def pixel_values(maps: Array, masks: Array) -> list[float]:
    metrics = PixelMetrics()
    for scores, mask in zip(maps, masks, strict=True):
        metrics.add(scores, label_regions(mask))
    values = metrics.compute().values
    return [values[name] for name in PIXELS]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rounded=st.booleans())
def test_each_draw_has_the_metrics_of_its_pictures(seed: int, rounded: bool) -> None:
    labels, scores, maps, masks = case(seed)
    if rounded:
        scores = np.round(scores)
    weights = uncertainty._draw(8, 6, seed)
    found = measure(Evidence(labels, scores, counted(maps, masks)), weights)
    for index, drawn in enumerate(weights):
        repeated = np.repeat(np.arange(8), drawn.astype(int))
        if len(set(labels[repeated])) < 2:
            assert all(np.isnan(found[name][index]) for name in IMAGE_METRICS)
            continue
        of_images = [found[name][index] for name in IMAGE_METRICS]
        assert of_images == pytest.approx(image_values(labels[repeated], scores[repeated]), abs=1e-12)
        of_pixels = [found[name][index] for name in PIXELS]
        assert of_pixels == pytest.approx(pixel_values(maps[repeated], masks[repeated]), abs=0.02)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_scores_of_few_values_are_measured_exactly(seed: int) -> None:
    labels, _, maps, masks = case(seed)
    maps = np.round(8 * maps)
    found = measure(Evidence(labels, None, counted(maps, masks)), np.ones((1, 8)))
    assert [found[name][0] for name in PIXELS] == pytest.approx(pixel_values(maps, masks), abs=1e-6)


def test_the_whole_category_is_measured_to_three_digits_whatever_the_size_of_its_scores() -> None:
    labels, _, maps, masks = case(3, pictures=12, side=120)
    for scores in (maps, np.exp(8 * maps), -np.exp(-maps), 1 / (1 + np.exp(-9 * maps)), maps * 1e-38):
        found = measure(Evidence(labels, None, counted(scores, masks)), np.ones((1, 12)))
        wanted = pixel_values(scores.astype(np.float32), masks)
        assert [found[name][0] for name in PIXELS] == pytest.approx(wanted, abs=1e-3)


def together(maps: Array, masks: Array, keep: int) -> PixelCounts:
    counter = PixelCounter(keep)
    for scores, mask in zip(maps, masks, strict=True):
        counter.add(scores, label_regions(mask))
    return counter.counts()


def test_maps_that_fit_are_counted_as_all_at_once() -> None:
    _, _, maps, masks = case(3)
    found, wanted = together(maps, masks, 10**9), counted(maps, masks)
    for name in ("steps", "normal", "anomalous", "shares", "regions", "tied"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), falling=st.booleans())
def test_maps_that_are_counted_by_parts_have_nearly_the_same_draws(seed: int, falling: bool) -> None:
    labels, _, maps, masks = case(seed)
    maps = maps - np.arange(8, dtype=np.float32)[:, None, None] * falling  # so that no part looks like another
    found, wanted = (
        draw_metrics(Evidence(labels, None, each), draws=20)
        for each in (together(maps, masks, 3 * maps[0].size), counted(maps, masks))
    )
    assert together(maps, masks, 3 * maps[0].size).steps.size <= 4096
    for name in PIXELS:
        np.testing.assert_allclose(found[name], wanted[name], atol=0.02)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_scores_of_few_values_are_counted_exactly_by_parts_too(seed: int) -> None:
    labels, _, maps, masks = case(seed)
    maps = np.round(8 * maps)
    counts = together(maps, masks, 3 * maps[0].size)
    assert counts.tied.all()
    found = draw_metrics(Evidence(labels, None, counts), draws=20)
    wanted = draw_metrics(Evidence(labels, None, counted(maps, masks)), draws=20)
    for name in PIXELS:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-6)


def test_intervals_have_the_spread_of_draws_that_are_really_made() -> None:
    labels, scores, maps, masks = case(5)
    found = bootstrap_metrics(Evidence(labels, scores, counted(maps, masks)), draws=100, seed=7)
    drawn = np.random.default_rng(7).multinomial(8, np.full(8, 1 / 8), size=100)
    repeated = [np.repeat(np.arange(8), weights) for weights in drawn]
    values = [image_values(labels[each], scores[each]) for each in repeated if len(set(labels[each])) == 2]
    assert found["image_AUROC"].draws == len(values)
    for name, value, error in zip(IMAGE_METRICS, image_values(labels, scores), np.std(values, 0, ddof=1), strict=True):
        assert [found[name].low, found[name].high] == pytest.approx(in_the_logit(value, error), abs=1e-7)
    pixels = [pixel_values(maps[each], masks[each]) for each in repeated if len(set(labels[each])) == 2]
    for name, value, error in zip(PIXELS, pixel_values(maps, masks), np.std(pixels, 0, ddof=1), strict=True):
        assert [found[name].low, found[name].high] == pytest.approx(in_the_logit(value, error), abs=0.01)


def in_the_logit(value: float, error: float) -> list[float]:
    """The odds of a value times and by the exponential of 1.96 standard errors of its logit, as fractions."""
    odds, factor = value / (1 - value), np.exp(1.959964 * error / (value * (1 - value)))
    return [odds / factor / (1 + odds / factor), odds * factor / (1 + odds * factor)]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_draws_that_do_not_differ_make_no_interval(value: float) -> None:
    assert uncertainty.interval_of(value, np.full(100, value)) is None
    assert uncertainty.interval_of(0.5, np.full(100, 0.5)) is None
    assert uncertainty.interval_of(0.5, np.full(100, np.nan)) is None


def test_more_pictures_make_an_interval_narrower() -> None:
    labels, scores, maps, masks = case(1, pictures=10)
    few = bootstrap_metrics(Evidence(labels, scores, counted(maps, masks)), draws=300)
    labels, scores, maps, masks = (np.concatenate([each] * 9) for each in (labels, scores, maps, masks))
    many = bootstrap_metrics(Evidence(labels, scores, counted(maps, masks)), draws=300)
    for name in (*IMAGE_METRICS, *PIXELS):
        assert many[name].high - many[name].low < (few[name].high - few[name].low) / 2


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = roc_auc_score(
        [0] * 20000 + [1] * 20000, np.random.default_rng(0).normal(size=40000) + np.repeat([0, 1], 20000)
    )
    held = 0
    for seed in range(60):
        labels, scores, _, _ = case(seed, pictures=80)
        interval = bootstrap_metrics(Evidence(labels, scores), draws=200)["image_AUROC"]
        held += interval.low <= truth <= interval.high
    assert held >= 50


def test_a_better_method_on_the_same_pictures_is_found_to_be_better() -> None:
    labels, scores, maps, masks = case(2, pictures=60)
    worse = Evidence(labels, scores, counted(maps, masks))
    better = Evidence(labels, scores + 1.5 * labels, counted(maps + masks, masks))
    found = paired_differences(better, worse, draws=300)
    assert set(found) == {*IMAGE_METRICS, *PIXELS}
    for difference in found.values():
        assert 0 < difference.low <= difference.value <= difference.high
        assert difference.p == pytest.approx(2 / 301)


def test_a_method_does_not_differ_from_itself() -> None:
    method = said(4)
    for difference in paired_differences(method, method, draws=100).values():
        assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)


def test_a_paired_test_is_sharper_than_two_intervals() -> None:
    labels, scores, _, _ = case(9, pictures=60)
    other = scores + 0.2 * np.random.default_rng(1).normal(size=60)  # nearly the same
    difference = paired_differences(Evidence(labels, scores), Evidence(labels, other), draws=300)["image_AUROC"]
    interval = bootstrap_metrics(Evidence(labels, scores), draws=300)["image_AUROC"]
    assert difference.high - difference.low < (interval.high - interval.low) / 2


def test_the_same_seed_draws_the_same_pictures() -> None:
    method = said(6)
    assert bootstrap_metrics(method, draws=50, seed=3) == bootstrap_metrics(method, draws=50, seed=3)
    assert bootstrap_metrics(method, draws=50, seed=3) != bootstrap_metrics(method, draws=50, seed=4)


def test_metrics_that_too_few_draws_have_are_left_out() -> None:
    labels = np.array([0, 0, 0, 0])
    assert bootstrap_metrics(Evidence(labels, np.arange(4.0))) == {}
    normal = counted(np.zeros((4, 5, 5)), np.zeros((4, 5, 5)))
    assert bootstrap_metrics(Evidence(labels, np.arange(4.0), normal)) == {}
    whole = counted(np.zeros((2, 5, 5)), np.ones((2, 5, 5)))
    assert bootstrap_metrics(Evidence(np.array([1, 1]), None, whole)) == {}


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"of the same pictures, found \[3, 2\]"):
        Evidence(np.array([0, 1, 0]), np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="of the same pictures"):
        Evidence(np.array([], int))
    with pytest.raises(ValueError, match="labels are not the same"):
        paired_differences(Evidence(np.array([0, 1]), np.zeros(2)), Evidence(np.array([1, 0]), np.zeros(2)))
    with pytest.raises(NonFiniteScores, match="1 of 4 pixels"):
        counted(np.array([[[0.0, np.nan], [0.0, 0.0]]]), np.eye(2)[None])
