"""Selectors against numpy, vector by vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stackclip.errors import BadOption
from stackclip.registry import selectors

FEATURES = arrays(np.float64, st.tuples(st.integers(1, 9), st.just(5)), elements=st.floats(0.1, 9))


@settings(max_examples=40, deadline=None)
@given(FEATURES)
def test_the_mean_is_that_of_the_raw_features_made_unit(features: np.ndarray):
    mean = features.mean(0)
    found = selectors.create("mean")(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(FEATURES)
def test_the_mean_of_unit_features_gives_every_phrase_one_voice(features: np.ndarray):
    mean = np.mean([row / np.linalg.norm(row) for row in features], axis=0)
    found = selectors.create("mean-of-unit")(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-12)


def test_the_two_means_part_where_features_differ_in_length():
    features = torch.tensor([[9.0, 0.0], [0.0, 1.0]])
    assert selectors.create("mean")(features)[0] > 0.99
    assert float(selectors.create("mean-of-unit")(features)[0]) == pytest.approx(0.5**0.5)


@pytest.mark.parametrize("side", ["normal", "abnormal"])
@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("mean-of-unit", "mvtec_mean"),
        ("pca[variant=released]", "pca_fp32"),
        ("kde", "kde_fp32"),
        ("mean-shift", "mean_shift_fp32"),
        ("dbscan", "dbscan_mvtec_fp32"),
        ("dbscan[eps=1.5,min_samples=25]", "dbscan_visa_fp32"),
    ],
)
def test_representative_vectors_are_those_of_the_released_code(
    golden_arrays: Callable[[str], Any], spec: str, name: str, side: str
):
    stored = golden_arrays("clipad_rvs")
    found = selectors.create(spec)(torch.from_numpy(stored.given(f"feats_{side}").astype(np.float32)))
    np.testing.assert_allclose(found, stored[f"rvs_{name}"][:, int(side == "abnormal")], atol=1e-5)


def test_the_principal_component_is_the_direction_of_most_variance_turned_towards_the_mean():
    draws = np.random.default_rng(0)
    along, across = np.array([1.0, 0.3, 0.0]), np.array([0.0, 0.0, 1.0])
    points = np.array([5.0, 0.0, 0.0]) + draws.normal(size=(50, 1)) * across + 0.01 * draws.normal(size=(50, 3)) + along
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    expected = vectors[:, values.argmax()]
    expected *= np.sign(expected @ points.mean(0))
    np.testing.assert_allclose(selectors.create("pca")(torch.from_numpy(points)), expected, atol=1e-9)


def test_clustering_leaves_outliers_out_and_falls_back_to_the_mean_where_all_is_noise():
    crowd, far = np.tile([1.0, 0.0, 0.0], (20, 1)), np.tile([0.0, 1.0, 0.0], (5, 1))
    features = torch.from_numpy(np.vstack([crowd, far]))
    np.testing.assert_allclose(selectors.create("dbscan")(features), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(selectors.create("mean-shift[bandwidth=0.5]")(features), [1, 0, 0], atol=1e-12)
    mean = features.mean(0) / features.mean(0).norm()
    found = selectors.create("dbscan[min_samples=99]")(features)
    torch.testing.assert_close(found, mean)


def test_density_weighs_the_crowd_more_than_the_mean_does():
    features = torch.from_numpy(np.vstack([np.tile([1.0, 0.0], (9, 1)), [[0.0, 1.0]]]))
    weighed, mean = selectors.create("kde")(features), selectors.create("mean-of-unit")(features)
    by_hand = 9 * (9 + np.exp(-2 / 0.18)), 1 * (1 + 9 * np.exp(-2 / 0.18))
    np.testing.assert_allclose(weighed, np.array(by_hand) / np.linalg.norm(by_hand), atol=1e-9)
    assert weighed[0] > mean[0]


@pytest.mark.parametrize(
    "spec", ["kde[bandwidth=0]", "mean-shift[bandwidth=-1]", "dbscan[eps=0]", "dbscan[min_samples=0]"]
)
def test_a_size_that_cannot_be_is_refused(spec: str):
    with pytest.raises(BadOption, match="wanted a number above 0"):
        selectors.create(spec)
