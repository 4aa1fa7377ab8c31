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
