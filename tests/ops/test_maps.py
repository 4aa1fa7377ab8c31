"""Upsampling and logits against torch's own interpolation and softmax."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from stackclip.ops import portions
from stackclip.ops.maps import (
    anomaly_logits,
    interpolation_matrix,
    large_logits,
    local_means,
    min_max,
    on_grid,
    pixels,
    projected_logits,
    smooth,
    smooth_in_window,
    unit,
    upsample,
)
from stackclip.ops.windows import harmonic_map, weighed_windows, window_means, window_patches
from stackclip.sizes import Frame, Size
from stackclip.types import ANOMALOUS, NORMAL


@settings(max_examples=40, deadline=None)
@given(grid=st.integers(1, 40), side=st.integers(1, 130), seed=st.integers(0, 99))
def test_upsampling_is_bilinear_with_aligned_corners(grid: int, side: int, seed: int):
    maps = torch.randn(2, 3, grid, grid, generator=torch.Generator().manual_seed(seed))
    oracle = F.interpolate(maps.double(), size=(side, side), mode="bilinear", align_corners=True)
    for ours in (upsample, large_logits):
        torch.testing.assert_close(ours(maps, side), oracle.float(), atol=5e-6, rtol=0)


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
@given(
    leading=st.lists(st.integers(1, 3), max_size=3),
    grid=st.integers(1, 9),
    side=st.integers(1, 40),
    corners=st.booleans(),
)
def test_patches_become_pixels_whatever_stands_before_them(leading: list[int], grid: int, side: int, corners: bool):
    patches = torch.randn(*leading, grid * grid, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    squares = patches.reshape(-1, 1, grid, grid)
    oracle = F.interpolate(squares, size=(side, side), mode="bilinear", align_corners=corners)
    found = pixels(patches, side, align_corners=corners)
    torch.testing.assert_close(found, oracle.reshape(*leading, side, side), atol=1e-12, rtol=0)


def test_patches_stand_on_their_grid_row_by_row():
    assert on_grid(torch.arange(9.0), Size(3, 3)).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert on_grid(torch.arange(4.0), Size(1, 4)).tolist() == [[0, 1, 2, 3]]  # as many as a square has
    with pytest.raises(RuntimeError, match="16"):
        on_grid(torch.zeros(2, 8), Size(4, 4))  # 16 values, but of two pictures


def test_min_max_runs_from_zero_to_one_and_makes_equal_values_zero():
    assert min_max(torch.tensor([[-1.0, 3.0], [1.0, 0.0]])).tolist() == [[0, 1], [0.5, 0.25]]
    assert min_max(torch.full((3,), 7.0)).tolist() == [0, 0, 0]


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


NINE = Size(3, 3)


def projection(*, dtype: torch.dtype = torch.float64, stacks: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Tokens (3, 9, 5), a linear layer 5 -> 4 and unit anchors (3, K, 2, 4), all with gradients."""
    draws = torch.Generator().manual_seed(seed)
    inputs = {
        "tokens": torch.randn(3, 9, 5, dtype=dtype, generator=draws),
        "anchors": unit(torch.randn(3, stacks, 2, 4, dtype=dtype, generator=draws)),
        "weight": torch.randn(4, 5, dtype=dtype, generator=draws),
        "bias": torch.randn(4, dtype=dtype, generator=draws),
    }
    return {name: tensor.requires_grad_() for name, tensor in inputs.items()}


def by_autograd(tokens: Tensor, anchors: Tensor, *, weight: Tensor, bias: Tensor) -> Tensor:
    """Project, normalise, multiply: what `projected_logits` gives, (B, K, g, g)."""
    projected = F.linear(tokens, weight, bias)
    stacks = [anomaly_logits(projected, anchors[:, k], 3) for k in range(anchors.shape[1])]
    return torch.stack(stacks, 1)


@pytest.mark.parametrize("portion", [1, 80, portions.PORTION])
def test_projected_logits_and_all_their_gradients_are_those_of_the_plain_formula(
    portion: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(portions, "PORTION", portion)
    ours, plain = projection(), projection()
    found, wanted = projected_logits(**ours, grid=NINE), by_autograd(**plain)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    pull = torch.randn(found.shape, dtype=found.dtype, generator=torch.Generator().manual_seed(1))
    for logits in (found, wanted):
        logits.backward(pull)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor.grad, plain[name].grad, atol=1e-12, rtol=1e-12)
    assert torch.autograd.gradcheck(
        lambda t, a, w, b: projected_logits(t, a, weight=w, bias=b, grid=NINE, scale=3.0),
        tuple(projection(stacks=1).values()),
    )


def test_projected_logits_in_float32_are_within_a_millionth_of_float64():
    exact, single = projection(), projection(dtype=torch.float32)
    with torch.no_grad():
        for name, tensor in single.items():
            tensor.copy_(exact[name])
            exact[name].copy_(tensor)
    for inputs in (exact, single):
        projected_logits(**inputs, grid=NINE).square().sum().backward()
    found, wanted = projected_logits(**single, grid=NINE), projected_logits(**exact, grid=NINE)
    assert float((found - wanted).detach().abs().max()) < 1e-6 * 100  # a logit is 100 times a cosine
    for name, tensor in single.items():
        error = (tensor.grad.double() - exact[name].grad).norm() / exact[name].grad.norm()
        assert float(error) < 1e-6


def test_a_backward_can_be_taken_twice():
    inputs = projection()
    logits = projected_logits(**inputs, grid=NINE).sum()
    logits.backward(retain_graph=True)
    once = inputs["weight"].grad.clone()
    logits.backward()
    assert torch.equal(inputs["weight"].grad, 2 * once)


def test_only_what_learns_gets_a_gradient():
    inputs = projection()
    inputs["tokens"].requires_grad_(False)
    inputs["anchors"].requires_grad_(False)
    projected_logits(**inputs, grid=NINE).sum().backward()
    assert {name for name, tensor in inputs.items() if tensor.grad is not None} == {"weight", "bias"}


def test_a_token_that_is_projected_to_nothing_has_the_logit_zero_and_finite_gradients():
    inputs = projection()
    with torch.no_grad():
        inputs["tokens"][0, 4] = 0
        inputs["bias"].zero_()
    logits = projected_logits(**inputs, grid=NINE)
    assert (logits[0, :, 1, 1] == 0).all()
    logits.sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in inputs.values())


def test_what_a_method_that_predicts_asks_for_first_serves_one_that_trains():
    def through(maps: torch.Tensor) -> torch.Tensor:
        return smooth_in_window(smooth(upsample(maps, 23), 1.7), 1.3, 5)

    with torch.inference_mode():
        wanted = through(torch.ones(1, 9, 9, dtype=torch.float64))
    maps = torch.ones(1, 9, 9, dtype=torch.float64, requires_grad=True)
    found = through(maps)
    found.sum().backward()
    assert torch.equal(found, wanted)
    assert maps.grad.sum() == pytest.approx(found.sum().item())


def test_projected_logits_lie_on_the_grid_that_is_named():
    inputs = projection()
    found, row = (projected_logits(**inputs, grid=grid) for grid in (NINE, Size(1, 9)))
    assert row.shape == (3, 2, 1, 9)
    assert torch.equal(found.flatten(2), row.flatten(2))


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("grid", [Size(3, 5), Size(4, 16)])  # 64 patches are also those of a square
def test_the_maps_of_an_oblong_grid_are_those_of_interpolation(grid: Size, corners: bool):
    frame = Frame(grid, Size(8 * grid.height, 8 * grid.width))
    patches = torch.randn(2, grid.area, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    placed = patches.reshape(2, 1, *grid)
    wanted = F.interpolate(placed, size=frame.size, mode="bilinear", align_corners=corners)[:, 0]
    torch.testing.assert_close(pixels(patches, frame, align_corners=corners), wanted)
    torch.testing.assert_close(pixels(patches, frame.size, align_corners=corners), wanted)
    torch.testing.assert_close(large_logits(on_grid(patches, grid), frame.size), pixels(patches, frame))


def test_oblong_maps_are_smoothed_as_scipy_does():
    maps = torch.randn(2, 20, 33, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    wanted = np.stack([ndimage.gaussian_filter(each, 2.5) for each in maps.numpy()])
    np.testing.assert_allclose(smooth(maps, 2.5), wanted, atol=1e-12)
    weights = np.exp(-(np.arange(-2, 3) ** 2) / 2)
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    windowed = np.stack([ndimage.correlate(each, kernel, mode="mirror") for each in maps.numpy()])
    np.testing.assert_allclose(smooth_in_window(maps, 1.0, 5), windowed, atol=1e-12)


@pytest.mark.parametrize("grid", [Size(3, 5), Size(4, 16)])
def test_the_neighbours_of_a_patch_on_an_oblong_grid_are_those_beside_it(grid: Size):
    (rows, columns), wanted = grid, []
    tokens = torch.arange(float(grid.area)).reshape(1, -1, 1)
    for row, column in itertools.product(range(rows), range(columns)):
        inside = [
            tokens[0, columns * y + x, 0]
            for y, x in itertools.product(range(row - 1, row + 2), range(column - 1, column + 2))
            if 0 <= y < rows and 0 <= x < columns
        ]
        wanted.append(float(sum(inside)) / 9)
    assert local_means(tokens, 3, grid).flatten().tolist() == pytest.approx(wanted)
    kernel = torch.full((3, 3), 1 / 9)
    assert weighed_windows(tokens, kernel, grid).flatten().tolist() == pytest.approx(wanted)
    means = [(a + b) / 2 for a, b in zip(wanted, range(grid.area), strict=True)]
    assert window_means(tokens, grid, (1, 3)).flatten().tolist() == pytest.approx(means)


def test_the_windows_of_an_oblong_grid_hold_what_a_loop_puts_there():
    wanted = [
        [5 * (row + y) + column + x for y in range(2) for x in range(2)] for row in range(2) for column in range(4)
    ]
    assert window_patches(Size(3, 5), 2).tolist() == wanted
    values = torch.rand(1, len(wanted), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    own = [[float(values[0, at]) for at, held in enumerate(wanted) if place in held] for place in range(15)]
    found = harmonic_map(values, grid=Size(3, 5), side=2)
    assert found.flatten().tolist() == pytest.approx([len(each) / sum(1 / v for v in each) for each in own])
    assert found.shape == (1, 3, 5)
