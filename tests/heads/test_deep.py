"""Deeper mappings: the formula, layer by layer, and the one-layer head that they contain."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stackclip.heads import DeepProjections, Projections
from stackclip.ops.maps import anomaly_logits, unit
from stackclip.types import ANOMALOUS, CLS, MASK, Features, Sample, TowerSpec

TOWER = TowerSpec("tiny", image_size=20, grid=5, depth=4, width=12, joint=8, layers=(1, 2, 4))
TAPS = TOWER.taps


def batch(pictures: int = 3) -> Features:
    draws = torch.Generator().manual_seed(0)
    parts = {part: torch.randn(pictures, 25, 12, generator=draws) for part in TAPS}
    parts[CLS] = torch.randn(pictures, 8, generator=draws)
    parts[MASK] = (torch.rand(pictures, 20, 20, generator=draws) < 0.2).float()
    samples = tuple(
        Sample(f"{i}.png", "random", "x", "test", None, None, ANOMALOUS, "hole")  # type: ignore[arg-type]  # not read
        for i in range(pictures)
    )
    return Features(samples, parts)


def anchors(pictures: int = 3) -> Tensor:
    return unit(torch.randn(pictures, 2, 8, generator=torch.Generator().manual_seed(1)))


def head(layers: int, *, relu: bool = False, seed: int = 0) -> DeepProjections:
    return DeepProjections(TOWER, layers=layers, relu=relu, seed=seed, taps=TAPS)


@pytest.mark.parametrize("layers", [3, 5])
@pytest.mark.parametrize("relu", [False, True])
def test_the_map_is_that_of_the_layers_one_after_the_other(layers: int, relu: bool) -> None:
    mapping, features, texts = head(layers, relu=relu), batch(), anchors()
    expected = torch.zeros(3, 20, 20)
    for part, before, last in zip(TAPS, mapping.before, mapping.fc[0], strict=True):
        chain = list(before) + [last]
        steps = [step for layer in chain for step in (layer, nn.ReLU())][:-1] if relu else chain
        expected += torch.sigmoid(anomaly_logits(nn.Sequential(*steps)(features[part]), texts, 20))
    found = mapping.maps(features, texts[:, None], torch.ones(3, 1))
    assert len(mapping.before[0]) == layers - 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_layers_that_change_nothing_leave_the_head_of_one_layer() -> None:
    deep, plain, features, texts = head(3), Projections(TOWER, 1, seed=0, taps=TAPS), batch(), anchors()
    with torch.no_grad():
        for layers in deep.before:
            for layer in layers:
                nn.init.eye_(layer.weight)
                layer.bias.zero_()
    of_none = torch.zeros(3, dtype=torch.long)
    torch.testing.assert_close(deep.loss(features, texts, of_none), plain.loss(features, texts, of_none))


def test_gradients_reach_every_layer_and_learning_lowers_the_loss() -> None:
    mapping, features, texts, of_none = head(5, relu=True), batch(), anchors(), torch.zeros(3, dtype=torch.long)
    adam, losses = torch.optim.Adam(mapping.parameters(), lr=1e-2), []
    for _ in range(30):
        adam.zero_grad()
        loss = mapping.loss(features, texts, of_none)
        loss.backward()
        losses.append(loss.item())
        assert all(parameter.grad is not None for parameter in mapping.parameters())
        adam.step()
    assert losses[-1] < losses[0]


def test_one_seed_gives_one_head_and_no_two_layers_are_alike() -> None:
    one, same, other = head(5), head(5), head(5, seed=1)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        assert not torch.equal(tensor, other.state_dict()[name])
    weights = [layer.weight for layers in one.before for layer in layers]
    assert not any(torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])
