"""Upsampling and logits against torch's own interpolation and softmax."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stackclip.ops.maps import anomaly_logits, interpolation_matrix, unit, upsample
from stackclip.types import ANOMALOUS, NORMAL


@settings(max_examples=40, deadline=None)
@given(grid=st.integers(1, 40), side=st.integers(1, 130), seed=st.integers(0, 99))
def test_upsampling_is_bilinear_with_aligned_corners(grid: int, side: int, seed: int):
    maps = torch.randn(2, 3, grid, grid, generator=torch.Generator().manual_seed(seed))
    oracle = F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=True)
    torch.testing.assert_close(upsample(maps, side), oracle, atol=2e-5, rtol=0)


def test_the_corners_of_a_map_stay_what_they_were():
    maps = torch.randn(4, 7, 7, generator=torch.Generator().manual_seed(0))
    large = upsample(maps, 50)
    torch.testing.assert_close(large[:, [0, 0, -1, -1], [0, -1, 0, -1]], maps[:, [0, 0, -1, -1], [0, -1, 0, -1]])


@pytest.mark.parametrize(("grid", "side"), [(7, 112), (37, 518), (15, 240), (5, 3)])
def test_every_row_of_weights_sums_to_one(grid: int, side: int):
    matrix = interpolation_matrix(grid, side)
    assert matrix.shape == (side, grid)
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(side, dtype=torch.float64))


@settings(max_examples=25, deadline=None)
@given(grid=st.integers(1, 9), side=st.integers(1, 40), width=st.integers(2, 16), seed=st.integers(0, 99))
def test_the_sigmoid_of_the_logits_is_the_softmax_of_two_upsampled_logits(grid: int, side: int, width: int, seed: int):
    draws = torch.Generator().manual_seed(seed)
    tokens = torch.randn(3, grid * grid, width, generator=draws, dtype=torch.float64)
    anchors = unit(torch.randn(3, 2, width, generator=draws, dtype=torch.float64))
    both = 100 * unit(tokens) @ anchors.mT  # (B, P, 2)
    both = both.mT.reshape(3, 2, grid, grid)
    both = F.interpolate(both, size=(side, side), mode="bilinear", align_corners=True)
    oracle = both.softmax(1)[:, ANOMALOUS]
    found = torch.sigmoid(anomaly_logits(tokens, anchors, side))
    torch.testing.assert_close(found, oracle, atol=1e-9, rtol=0)
    swapped = anomaly_logits(tokens, anchors[:, [ANOMALOUS, NORMAL]], side)
    torch.testing.assert_close(torch.sigmoid(swapped), 1 - oracle, atol=1e-9, rtol=0)


def test_unit_vectors_have_length_one_and_a_zero_vector_stays_finite():
    vectors = torch.cat([torch.randn(5, 8, generator=torch.Generator().manual_seed(1)), torch.zeros(1, 8)])
    lengths = unit(vectors).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.tensor([1.0] * 5 + [0.0]))


def test_gradients_pass_through_the_upsampling():
    maps = torch.randn(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: upsample(x, 9), maps)
