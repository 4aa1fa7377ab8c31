"""Selectors against numpy, vector by vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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
