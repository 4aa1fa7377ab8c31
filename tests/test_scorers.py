"""The penalty against scikit-learn's inertia and against the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from stackclip.registry import scorers
from stackclip.scorers import inertia


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 99))
def test_inertia_is_that_of_scikit_learn(count: int, clusters: int, seed: int):
    points = np.random.default_rng(seed).standard_normal((count, 4))
    fitted = KMeans(min(clusters, count), n_init=3, random_state=0).fit(points)
    assert inertia(points, fitted.labels_) == pytest.approx(fitted.inertia_, abs=1e-9)


def test_inertia_by_hand():
    points = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    assert inertia(points, np.array([0, 0, 1])) == 2.0
    assert inertia(points, np.array([3, 7, 5])) == 0.0


@pytest.mark.parametrize(("spec", "weight", "share"), [
    ("penalty", 0.1, 1),
    ("penalty[lambda=0.5]", 0.5, 1),
    ("penalty[sse=mean]", 0.1, 3),
    ("penalty[lambda=0]", 0.0, 1),
])  # fmt: skip
def test_the_price_is_equation_4(spec: str, weight: float, share: int):
    points = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    price = scorers.create(spec)(points, np.array([0, 0, 1]))
    assert price == pytest.approx(2.0 / share + weight * math.exp(2))


def test_a_cluster_number_that_is_not_used_costs_nothing():
    points = np.array([[0.0], [1.0], [4.0]])
    price = scorers.create("penalty")
    assert price(points, np.array([0, 0, 2])) == price(points, np.array([0, 0, 1]))


def bic(points: np.ndarray, labels: np.ndarray) -> float:
    """X-means' criterion by a loop: round Gaussians of one spread, each point in its own cluster's."""
    count, width = points.shape
    numbers = sorted(set(labels.tolist()))
    spread = inertia(points, labels) / (width * (count - len(numbers)))
    total = 0.0
    for number in numbers:
        members = points[labels == number]
        for point in members:
            share = math.log(len(members) / count)
            apart = ((point - members.mean(0)) ** 2).sum()
            total += share - width / 2 * math.log(2 * math.pi * spread) - apart / (2 * spread)
    return -2 * total + (len(numbers) - 1 + len(numbers) * width + 1) * math.log(count)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 12), st.integers(1, 3), st.integers(0, 99))
def test_bic_is_the_criterion_of_x_means(count: int, clusters: int, seed: int):
    points = np.random.default_rng(seed).standard_normal((count, 5))
    labels = np.arange(count) % clusters
    assert scorers.create("bic")(points, labels) == pytest.approx(bic(points, labels))


def test_bic_finds_twins_and_nothing_where_there_is_nothing():
    draws = np.random.default_rng(0)
    alike = draws.standard_normal((12, 40))
    twins = np.concatenate([alike[:8], 5 * alike[8:9] + 0.1 * alike[8:]])
    price = scorers.create("bic")
    first, apart = np.zeros(12, int), np.array([0] * 8 + [1] * 4)
    assert price(twins, apart) < price(twins, first)
    assert price(alike, first) < price(alike, apart)
    assert price(alike, first) < price(alike, np.arange(12))
    assert math.isfinite(price(np.ones((4, 3)), np.zeros(4, int)))


def test_silhouette_by_hand():
    points = np.array([[0.0], [1.0], [10.0]])
    price = scorers.create("silhouette")
    near, far = (10 - 1) / 10, (9 - 1) / 9  # of 0 and of 1; the third is alone and counts 0
    assert price(points, np.array([0, 0, 1])) == pytest.approx(-(near + far) / 3)
    assert price(points, np.zeros(3, int)) == price(points, np.arange(3)) == 0


def test_fixed_takes_the_nearest_number_of_clusters():
    points = np.zeros((5, 2))
    price = scorers.create("fixed[clusters=3]")
    assert [price(points, np.arange(5) % count) for count in (1, 2, 3, 5)] == [2, 1, 0, 2]
