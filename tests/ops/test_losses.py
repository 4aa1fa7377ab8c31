"""The losses against the released code's values and gradients, against autograd, and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.ops import portions
from stackclip.ops.losses import FOCAL_GAMMA, FOCAL_SMOOTH, dice_loss, focal_loss, segmentation_loss
from stackclip.types import ANOMALOUS, NORMAL


@pytest.fixture(scope="module")
def stored(golden_arrays: Callable[[str], Any]) -> Any:
    """`loss.*` of the released code: two-channel logits (3, 2, 24, 24), the mask, losses and their gradients."""
    return golden_arrays("metrics")


def given(stored: Any, name: str) -> Tensor:
    return torch.from_numpy(stored.given(f"loss.{name}"))


def said(stored: Any, name: str) -> Tensor:
    return torch.from_numpy(np.array(stored[f"loss.{name}"]))


def difference(logits: Tensor) -> Tensor:
    return logits[:, ANOMALOUS] - logits[:, NORMAL]


def test_the_focal_loss_and_its_gradient_are_those_of_the_released_code(stored: Any):
    logits = given(stored, "logits").clone().requires_grad_()
    loss = focal_loss(difference(logits), given(stored, "gt"))
    loss.backward()
    torch.testing.assert_close(loss.detach(), said(stored, "focal"), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(logits.grad, said(stored, "grad_focal"), atol=1e-8, rtol=1e-3)


@pytest.mark.parametrize("side", ["abnormal", "normal"])
def test_the_dice_loss_and_its_gradient_are_those_of_the_released_code(stored: Any, side: str):
    logits = given(stored, "logits").clone().requires_grad_()
    sign, mask = (1, given(stored, "gt")) if side == "abnormal" else (-1, 1 - given(stored, "gt"))
    loss = dice_loss(torch.sigmoid(sign * difference(logits)), mask)
    loss.backward()
    torch.testing.assert_close(loss.detach(), said(stored, f"dice_{side}"), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(logits.grad, said(stored, f"grad_dice_{side}"), atol=1e-8, rtol=1e-3)


@pytest.mark.parametrize(("name", "sign"), [("focal_hard_right", 1), ("focal_hard_wrong", -1)])
def test_certain_pixels_cost_what_they_cost_in_the_released_code(stored: Any, name: str, sign: int):
    mask = torch.tensor([[[0, 1], [1, 0]]])
    loss = focal_loss(sign * 1e4 * (2.0 * mask - 1), mask)
    torch.testing.assert_close(loss, said(stored, name), atol=1e-9, rtol=1e-4)


def test_one_pixel_by_hand():
    probability = 1 / (1 + math.exp(-0.4))
    smoothed = (1 - FOCAL_SMOOTH) * probability + FOCAL_SMOOTH * (1 - probability) + FOCAL_SMOOTH
    wanted = -((1 - smoothed) ** FOCAL_GAMMA) * math.log(smoothed)
    for logit, label in ((0.4, 1), (-0.4, 0)):  # both classes count alike
        loss = focal_loss(torch.full((1, 1, 1), logit, dtype=torch.float64), torch.full((1, 1, 1), label))
        assert float(loss) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("size", [1.0, 50.0, 1e3, 1e30])
def test_gradients_stay_finite_however_certain_the_map_is(size: float):
    logits = (size * torch.tensor([[[-1.0, 1.0], [1.0, -1.0]]])).requires_grad_()
    mask = torch.tensor([[[0, 1], [0, 1]]])
    (focal_loss(logits, mask) + dice_loss(torch.sigmoid(logits), mask)).backward()
    assert logits.grad.isfinite().all()


def test_both_losses_have_the_gradients_of_their_formulas():
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 5, dtype=torch.float64, generator=draws, requires_grad=True)
    mask = (torch.rand(2, 5, 5, generator=draws) < 0.3).to(torch.uint8)
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, mask), logits)
    assert torch.autograd.gradcheck(lambda x: dice_loss(torch.sigmoid(x), mask), logits)


def test_dice_by_hand():
    probability = torch.tensor([[[0.5, 0.0], [1.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    first = 1 - (2 * 1.5 + 1) / (2 + 2 + 1)
    second = 0.0  # a normal picture with an empty map
    assert float(dice_loss(probability, mask)) == pytest.approx((first + second) / 2)


def test_a_map_nearer_to_the_mask_costs_less():
    mask = torch.zeros(1, 6, 6)
    mask[0, 2:4, 2:4] = 1
    costs = []
    for size in (-3.0, -1.0, 0.0, 1.0, 3.0):
        logits = size * (2 * mask - 1)
        costs.append(float(focal_loss(logits, mask) + dice_loss(torch.sigmoid(logits), mask)))
    assert costs == sorted(costs, reverse=True)


def a_map(*, size: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits (4, 9, 9) of that size with gradients, and masks of which one is empty."""
    draws = torch.Generator().manual_seed(3)
    mask = (torch.rand(4, 9, 9, generator=draws) < 0.2).to(torch.uint8)
    mask[2] = 0
    logits = size * torch.randn(4, 9, 9, dtype=torch.float64, generator=draws)
    return logits.to(dtype).requires_grad_(), mask


@pytest.mark.parametrize("portion", [1, 200, portions.PORTION])
@pytest.mark.parametrize("size", [0.1, 3.0, 30.0])
def test_the_fused_loss_and_its_gradient_are_those_of_its_two_terms(
    portion: int, size: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(portions, "PORTION", portion)
    logits, mask = a_map(size=size)
    wanted = focal_loss(logits, mask) + dice_loss(torch.sigmoid(logits), mask)
    (gradient,) = torch.autograd.grad(wanted, logits)
    found = segmentation_loss(logits, mask)
    torch.testing.assert_close(found, wanted, atol=0, rtol=1e-12)
    (3 * found).backward()
    torch.testing.assert_close(logits.grad, 3 * gradient, atol=1e-14, rtol=1e-9)


def test_the_fused_loss_has_the_gradient_of_its_formula():
    logits, mask = a_map(size=3.0)
    assert torch.autograd.gradcheck(lambda x: segmentation_loss(x, mask), logits)


@pytest.mark.parametrize("size", [0.1, 3.0, 30.0])
def test_the_fused_loss_in_float32_is_within_a_millionth_of_float64(size: float):
    single, mask = a_map(size=size, dtype=torch.float32)
    exact = single.detach().double().requires_grad_()
    losses = [segmentation_loss(logits, mask) for logits in (single, exact)]
    for loss in losses:
        loss.backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
    assert float((single.grad.double() - exact.grad).norm() / exact.grad.norm()) < 1e-6


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_the_fused_gradient_stays_finite_however_certain_the_map_is(size: float):
    logits, mask = a_map(size=size, dtype=torch.float32)
    loss = segmentation_loss(logits, mask)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_without_a_backward_the_fused_loss_is_the_same():
    logits, mask = a_map(size=3.0)
    with torch.no_grad():
        assert torch.equal(segmentation_loss(logits, mask), segmentation_loss(logits.detach(), mask))
    assert float(segmentation_loss(logits, mask).detach()) == float(segmentation_loss(logits.detach(), mask))


def test_the_fused_loss_leaves_its_inputs_alone():
    logits, mask = a_map(size=3.0)
    mask = mask.to(logits)
    before = logits.detach().clone(), mask.clone()
    segmentation_loss(logits, mask).backward()
    assert torch.equal(logits.detach(), before[0])
    assert torch.equal(mask, before[1])
