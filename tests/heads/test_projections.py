"""Linear and EFA heads: what the papers claim of them, by loops and by properties."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stackclip.heads import Efa, Linear, Projections
from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.ops.maps import unit
from stackclip.registry import heads
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Sample, TowerSpec

TOWER = TowerSpec("tiny", image_size=20, grid=5, depth=4, width=12, joint=8, layers=(1, 2, 4))


def features_of(pictures: int, *, seed: int = 0) -> Features:
    draws = torch.Generator().manual_seed(seed)
    parts = {part: torch.randn(pictures, 25, 12, generator=draws) for part in TOWER.taps}
    parts[CLS] = torch.randn(pictures, 8, generator=draws)
    parts[MASK] = (torch.rand(pictures, 20, 20, generator=draws) < 0.2).float()
    samples = tuple(
        Sample(f"{i}.png", "random", "x", "test", None, None, ANOMALOUS, "hole")  # type: ignore[arg-type]  # not read
        for i in range(pictures)
    )
    return Features(samples, parts)


def rows_of(features: Features, rows: Tensor | slice) -> Features:
    chosen = range(len(features))[rows] if isinstance(rows, slice) else rows.tolist()
    parts = {part: tensor[rows] for part, tensor in features.parts.items()}
    return Features(tuple(features.samples[row] for row in chosen), parts)


def anchors_of(*shape: int, seed: int = 1) -> Tensor:
    return unit(torch.randn(*shape, 2, 8, generator=torch.Generator().manual_seed(seed)))


def test_a_head_has_one_linear_layer_with_bias_for_each_tap_and_set():
    head = Efa().build(TOWER, 2, seed=0)
    shapes = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    weights = {f"fc.{k}.{layer}.weight": (8, 12) for k in range(2) for layer in range(3)}
    biases = {f"fc.{k}.{layer}.bias": (8,) for k in range(2) for layer in range(3)}
    assert shapes == weights | biases
    assert len(Linear().build(TOWER, 2, seed=0).state_dict()) == 6


def test_a_single_stack_makes_efa_a_linear_head():
    features, anchors = features_of(3), anchors_of(3, 1)
    linear, efa = (recipe.build(TOWER, 1, seed=4) for recipe in (Linear(), Efa()))
    stacks = torch.zeros(3, dtype=torch.long)
    for name, tensor in linear.state_dict().items():
        assert torch.equal(efa.state_dict()[name], tensor)
    losses = [head.loss(features, anchors[:, 0], stacks) for head in (linear, efa)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.backward()
    for one, other in zip(linear.parameters(), efa.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    weights = [head.weights(features, anchors[:, :, NORMAL]) for head in (linear, efa)]
    assert torch.equal(*weights)
    assert torch.equal(weights[0], torch.ones(3, 1))
    assert torch.equal(*(head.maps(features, anchors, weights[0]) for head in (linear, efa)))


def adam(head: Projections) -> torch.optim.Adam:
    return torch.optim.Adam(head.parameters(), lr=1e-2, betas=(0.5, 0.999))


def step(head: Projections, optimiser: torch.optim.Adam, features: Features, anchors: Tensor, stacks: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    head.loss(features, anchors, stacks).backward()
    optimiser.step()


def test_sets_trained_together_are_sets_trained_alone_on_their_own_pictures():
    together = Efa().build(TOWER, 3, seed=0)
    alone = [Efa().build(TOWER, 1, seed=0) for _ in range(3)]
    for k, head in enumerate(alone):
        head.fc[0].load_state_dict(together.fc[k].state_dict())
    optimisers = [adam(head) for head in (together, *alone)]
    for turn, stacks in enumerate(([0, 1, 2, 1], [0, 0, 0, 0], [2, 1, 2, 2], [1, 0, 0, 1], [2, 0, 1, 1])):
        features, of = features_of(4, seed=turn), torch.tensor(stacks)
        anchors = anchors_of(4, seed=turn)
        step(together, optimisers[0], features, anchors, of)
        for k, head in enumerate(alone):
            rows = torch.nonzero(of == k)[:, 0]
            if len(rows):
                step(head, optimisers[k + 1], rows_of(features, rows), anchors[rows], torch.zeros_like(rows))
    for k, head in enumerate(alone):
        for name, tensor in together.fc[k].state_dict().items():
            torch.testing.assert_close(head.fc[0].state_dict()[name], tensor, atol=1e-6, rtol=0)


def test_a_set_without_a_picture_in_the_batch_gets_no_gradient():
    head = Efa().build(TOWER, 3, seed=0)
    head.loss(features_of(2), anchors_of(2), torch.tensor([2, 0])).backward()
    for name, parameter in head.named_parameters():
        assert (parameter.grad is None) == name.startswith("fc.1.")


def test_the_loss_is_the_sum_over_layers_of_focal_and_dice():
    features, anchors = features_of(3), anchors_of(3)
    head = Linear().build(TOWER, 1, seed=0)
    total = torch.zeros(())
    for part, linear in zip(TOWER.taps, head.fc[0], strict=True):
        maps = []
        for row in range(3):
            tokens = F.normalize(linear(features[part][row]), dim=-1)
            logits = (100 * tokens @ anchors[row].mT).mT.reshape(1, 2, 5, 5)
            both = F.interpolate(logits, size=20, mode="bilinear", align_corners=True)
            maps.append(both[0, ANOMALOUS] - both[0, NORMAL])
        logits = torch.stack(maps)
        total = total + focal_loss(logits, features[MASK]) + dice_loss(torch.sigmoid(logits), features[MASK])
    found = head.loss(features, anchors, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(found, total, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("recipe", [Linear(), Efa()], ids=["linear", "efa"])
def test_the_map_is_the_weighted_sum_over_stacks_and_layers_of_the_probability(recipe: Linear):
    features, anchors = features_of(2), anchors_of(2, 3)
    head = recipe.build(TOWER, 3, seed=0)
    weights = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    wanted = torch.zeros(2, 20, 20)
    for row in range(2):
        for stack in range(3):
            for layer, part in enumerate(TOWER.taps):
                linear = head.fc[stack if len(head.fc) > 1 else 0][layer]
                tokens = F.normalize(linear(features[part][row]), dim=-1)
                logits = (100 * tokens @ anchors[row, stack].mT).mT.reshape(1, 2, 5, 5)
                both = F.interpolate(logits, size=20, mode="bilinear", align_corners=True)
                wanted[row] += weights[row, stack] * both.softmax(1)[0, ANOMALOUS].detach()
    with torch.inference_mode():
        found = head.maps(features, anchors, weights)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert 0 <= float(found.min()) <= float(found.max()) <= len(TOWER.taps)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.floats(0, 100), st.integers(0, 99))
def test_weights_are_the_softmax_of_cosines_and_sum_to_one(pictures: int, stacks: int, temperature: float, seed: int):
    features = features_of(pictures, seed=seed)
    keys = anchors_of(pictures, stacks, seed=seed)[:, :, NORMAL]
    weights = Efa(temperature=temperature).build(TOWER, stacks, seed=0).weights(features, keys)
    cosines = F.cosine_similarity(features[CLS][:, None], keys, dim=-1)
    torch.testing.assert_close(weights, (temperature * cosines).softmax(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(weights.sum(1), torch.ones(pictures))
    assert torch.equal(weights.argmax(1), cosines.argmax(1)) or temperature < 1


@pytest.mark.parametrize("recipe", [Linear(), Efa()], ids=["linear", "efa"])
def test_maps_and_weights_do_not_depend_on_the_size_of_the_batch(recipe: Linear):
    features, anchors = features_of(5), anchors_of(5, 2)
    head = recipe.build(TOWER, 2, seed=0)
    with torch.inference_mode():
        weights = head.weights(features, anchors[:, :, NORMAL])
        together = head.maps(features, anchors, weights)
        for size in (1, 2, 3):
            for start in range(0, 5, size):
                rows = slice(start, start + size)
                part = rows_of(features, rows)
                own = head.weights(part, anchors[rows, :, NORMAL])
                torch.testing.assert_close(own, weights[rows], atol=1e-6, rtol=0)
                torch.testing.assert_close(head.maps(part, anchors[rows], own), together[rows], atol=1e-4, rtol=0)


def test_a_head_needs_the_taps_and_the_class_token():
    for name in ("linear", "efa"):
        assert heads.create(name).needs(TOWER) == {*TOWER.taps, CLS}


def test_options_reach_the_head():
    recipe = heads.create("efa[temperature=4,weights-from=category]")
    assert recipe.weighting == "category"
    assert recipe.build(TOWER, 2, seed=0).temperature == 4.0


def test_initial_weights_have_the_range_of_a_linear_layer_and_come_from_the_seed_alone():
    torch.manual_seed(1)
    one = Linear().build(TOWER, 1, seed=3)
    torch.manual_seed(2)
    two = Linear().build(TOWER, 1, seed=3)
    bound = TOWER.width**-0.5
    for left, right in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(left, right)
        assert 0 < float(left.detach().abs().max()) <= bound


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    Efa().build(TOWER, 3, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_bf16_products_have_nearly_the_loss_and_the_direction_of_the_gradient_of_fp32():
    tower = TowerSpec("wide", image_size=56, grid=7, depth=4, width=256, joint=192, layers=(2, 4))
    draws = torch.Generator().manual_seed(0)
    masks = torch.zeros(6, 56, 56, dtype=torch.uint8)
    masks[::2, 10:30, 20:40] = 1
    parts = {part: torch.randn(6, 49, 256, generator=draws) for part in tower.taps} | {MASK: masks}
    features = Features(features_of(6).samples, parts)
    anchors = unit(torch.randn(6, 2, 192, generator=draws))
    losses, gradients = [], []
    for products in (torch.float32, torch.bfloat16):
        head = Linear().build(tower, 1, seed=0)
        head.products = products
        loss = head.loss(features, anchors, torch.zeros(6, dtype=torch.long))
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([each.grad.flatten() for each in head.parameters()]))
        assert all(each.dtype == each.grad.dtype == torch.float32 for each in head.parameters())
    assert not torch.equal(*gradients)
    assert losses[1] == pytest.approx(losses[0], rel=2e-4)
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.9999
