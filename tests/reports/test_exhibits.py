"""Thresholds of the best F1, and the worst pictures first, held against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from stackclip.benchmarks.sidecars import CellPictures
from stackclip.reports.exhibits import Exhibit, best_threshold, exhibits_of, most_of_each
from stackclip.types import Row


def pictures_of(said: list[float], labels: list[int], **words: object) -> CellPictures:
    count = len(said)
    known = {
        "ids": tuple(f"{number}.png" for number in range(count)),
        "images": tuple(f"{number}.png" for number in range(count)),
        "labels": np.array(labels, np.uint8),
        "defects": tuple("dent" if label else "good" for label in labels),
        "masks": np.zeros((count, 64, 64), bool),
        "localised": np.ones(count, bool),
        "scores": np.array(said),
    }
    return CellPictures(**{**known, **words})  # type: ignore[arg-type]


def exhibit(scores: list[float], labels: list[int], **words: object) -> Exhibit:
    return Exhibit("m", "c", pictures_of(scores, labels), Path(), **words)  # type: ignore[arg-type]


SCORED = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=2, max_size=14)


@settings(max_examples=40, deadline=None)
@given(SCORED)
def test_the_threshold_is_the_highest_of_the_best_f1(told: list[tuple[int, int]]) -> None:
    scores, labels = np.array([float(score) for score, _ in told]), np.array([label for _, label in told], np.uint8)
    found = best_threshold(scores, labels)
    if len(set(labels.tolist())) < 2:
        assert found is None
        return
    by = {limit: f1_score(labels, scores >= limit) for limit in set(scores.tolist())}
    assert found == max(limit for limit, f1 in by.items() if f1 >= max(by.values()) - 1e-12)


@settings(max_examples=40, deadline=None)
@given(SCORED)
def test_what_is_wrong_comes_first_and_most_outranked_first_of_all(told: list[tuple[int, int]]) -> None:
    shown = exhibit([float(score) for score, _ in told], [label for _, label in told])
    order, limit = shown.worst_first, shown.threshold
    assert sorted(order) == list(range(len(told)))

    def wrong(place: int) -> bool:
        score, label = told[place]
        return limit is not None and (score >= limit) != bool(label)

    def outranked(place: int) -> float:
        score, label = told[place]
        others = [other for other, theirs in told if theirs != label]
        beyond = sum(other >= score if label else other <= score for other in others)
        return beyond / max(1, len(others))

    keys = [(not wrong(place), -outranked(place)) for place in order]
    assert keys == sorted(keys)
    assert {*shown.missed, *shown.false} == {place for place in range(len(told)) if wrong(place)}
    assert all(told[place][1] == 1 for place in shown.missed)
    assert all(told[place][1] == 0 for place in shown.false)


def test_pictures_of_which_nothing_is_known_come_by_score() -> None:
    shown = exhibit([0.2, 0.9, 0.5], [0, 0, 0], labelled=False)
    assert shown.worst_first == (1, 2, 0)
    assert shown.threshold is None
    assert not shown.missed
    assert not shown.false
    assert exhibit([0.2, 0.9], [0, 0], labelled=False, fixed=0.5).threshold == 0.5


def test_the_scale_begins_where_nine_in_ten_normal_pixels_stay_below() -> None:
    levels = np.zeros((1, 64, 64), np.uint8)
    levels.ravel()[:] = np.arange(64 * 64) % 200
    masks = levels > 99
    shown = pictures_of([1.0], [1], levels=levels, low=np.zeros(1), high=np.full(1, 2.55), masks=masks)
    scale = Exhibit("m", "c", shown, Path()).scale
    assert scale is not None
    assert scale[0] == pytest.approx(np.percentile(levels[~masks] / 100, 90))
    assert scale[1] == pytest.approx(np.percentile(levels / 100, 99.8))
    level = pictures_of([1.0], [0], levels=levels * 0, low=np.full(1, 3.0), high=np.full(1, 3.0))
    assert Exhibit("m", "c", level, Path()).scale == (3.0, pytest.approx(3.0))
    cold, hot = Exhibit("m", "c", level, Path()).scale or (0, 0)
    assert hot > cold


def test_a_light_exhibit_says_the_same_with_maps_of_the_worst_alone() -> None:
    draws = np.random.default_rng(3)
    levels, masks = draws.integers(0, 256, (9, 64, 64)).astype(np.uint8), draws.random((9, 64, 64)) < 0.1
    shown = pictures_of(
        draws.random(9).tolist(), [0, 1, 1] * 3, levels=levels, masks=masks, low=np.zeros(9), high=np.ones(9)
    )
    whole = Exhibit("m", "c", shown, Path())
    light = whole.light(4)
    assert light.scale == whole.scale
    assert light.worst_first == whole.worst_first
    assert (light.missed, light.false) == (whole.missed, whole.false)
    assert light.shown == whole.worst_first[:4]
    for row in light.shown:
        np.testing.assert_array_equal(light.level_of(row), levels[row])
        np.testing.assert_array_equal(light.mask_of(row), masks[row])
    assert light.level_of(whole.worst_first[4]) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=8), st.integers(8, 200))
def test_cells_share_the_room_and_small_ones_leave_theirs(counts: list[int], room: int) -> None:
    most = most_of_each(counts, room)
    assert sum(min(most, count) for count in counts) <= max(room, len(counts))
    if sum(counts) > room:
        assert sum(min(most + 1, count) for count in counts) > room
    else:
        assert all(count <= most for count in counts)


def test_the_first_seed_with_pictures_is_shown_and_rows_without_are_named() -> None:
    rows = [
        Row(method, (), "t", category, 0, seed, {"image_AUROC": 0.5}, error="broke" if method == "c" else "")
        for method in "abc"
        for category in ("x", "y")
        for seed in (0, 1)
    ]
    kept = {("a", "x", 1), ("a", "y", 0), ("a", "y", 1), ("b", "x", 0)}
    pictures = pictures_of([0.1, 0.2], [0, 1])
    exhibits, lacking = exhibits_of(
        rows, lambda row: pictures if (row.method, row.category, row.seed) in kept else None
    )
    assert [(each.method, each.category, each.seed) for each in exhibits] == [
        ("a", "x", 1),
        ("a", "y", 0),
        ("b", "x", 0),
    ]
    assert [(row.method, row.category, row.seed) for row in lacking] == [("b", "y", 0), ("b", "y", 1)]
    silent = pictures_of([0.1, 0.2], [0, 1], scores=None)
    assert exhibits_of(rows[:1], lambda _: silent) == ([], [])
