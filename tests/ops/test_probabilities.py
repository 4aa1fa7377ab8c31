"""Maps of probabilities against torch's own interpolation and sigmoid."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.ops.probabilities import probability_maps
from stackclip.sizes import Size


def logits_of(*, grid: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The logits (L, B, K, g, g) of three layers, two pictures and two stacks."""
    draws = torch.Generator().manual_seed(grid)
    return 5 * torch.randn(3, 2, 2, grid, grid, generator=draws, dtype=dtype)


WEIGHTS = torch.tensor([[1.0, 0.0], [0.3, 0.7]])  # (B, K)


@pytest.mark.parametrize(("grid", "side"), [(37, 518), (7, 112), (15, 240), (5, 5), (4, 3), (2, 9), (1, 6), (3, 1)])
def test_maps_of_probabilities_are_sums_of_interpolated_logits_through_the_sigmoid(grid: int, side: int):
    layers = logits_of(grid=grid)
    wanted = torch.zeros(2, side, side, dtype=torch.float64)
    for logits in layers:
        large = F.interpolate(logits.double(), size=(side, side), mode="bilinear", align_corners=True)
        wanted += (WEIGHTS[:, :, None, None] * torch.sigmoid(large)).sum(1)
    with torch.inference_mode():
        found = probability_maps(layers, WEIGHTS, side)
    torch.testing.assert_close(found, wanted.float(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("learns", ["logits", "weights"])
def test_maps_of_probabilities_have_gradients_where_they_are_asked_for(learns: str):
    layers, weights = logits_of(grid=3, dtype=torch.float64), WEIGHTS.double()
    learned = layers if learns == "logits" else weights
    assert torch.autograd.gradcheck(lambda _: probability_maps(layers, weights, 5), learned.requires_grad_())
    with torch.no_grad():
        found = probability_maps(layers, weights, 5)
    torch.testing.assert_close(found, probability_maps(layers, weights, 5).detach())


def test_a_map_of_probabilities_does_not_depend_on_the_other_pictures():
    layers = logits_of(grid=7)
    with torch.inference_mode():
        together = probability_maps(layers, WEIGHTS, 112)
        alone = probability_maps(layers[:, 1:], WEIGHTS[1:], 112)
    assert torch.equal(together[1:], alone)


def test_maps_of_an_oblong_grid_are_summed_alike_with_and_without_gradients():
    logits = torch.randn(2, 3, 2, 3, 5, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(3, 2, generator=torch.Generator().manual_seed(1))
    wanted = sum(
        weights[:, stack, None, None]
        * torch.sigmoid(F.interpolate(layer[:, stack, None], size=(24, 40), mode="bilinear", align_corners=True)[:, 0])
        for layer in logits
        for stack in range(2)
    )
    torch.testing.assert_close(probability_maps(logits, weights, Size(24, 40)), wanted)
    with_gradients = probability_maps(logits.requires_grad_(), weights, Size(24, 40))
    torch.testing.assert_close(with_gradients.detach(), wanted)
