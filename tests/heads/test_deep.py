"""Deeper mappings: the formula, layer by layer, and the one-layer head that they contain."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stackclip.heads import DeepProjections, Projections
from stackclip.ops.losses import segmentation_loss
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


def chains(mapping: DeepProjections, *, relu: bool) -> list[nn.Sequential]:
    """The mapping of each tap as torch would write it."""
    made = []
    for before, last in zip(mapping.before, mapping.fc[0], strict=True):
        steps = [step for layer in before for step in (layer, nn.ReLU() if relu else nn.Identity())]
        made.append(nn.Sequential(*steps, last))
    return made


@pytest.mark.parametrize("layers", [3, 5])
@pytest.mark.parametrize("relu", [False, True])
def test_the_map_is_that_of_the_layers_one_after_the_other(layers: int, relu: bool) -> None:
    mapping, features, texts = head(layers, relu=relu), batch(), anchors()
    expected = torch.stack(
        [
            torch.sigmoid(anomaly_logits(chain(features[part]), texts, 20))
            for part, chain in zip(TAPS, chains(mapping, relu=relu), strict=True)
        ]
    ).sum(0)
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


@pytest.mark.parametrize("relu", [False, True])
def test_loss_and_gradients_are_those_of_the_layers_one_after_the_other(relu: bool) -> None:
    mapping, features, texts = head(3, relu=relu), batch(), anchors()
    loss = mapping.loss(features, texts, torch.zeros(3, dtype=torch.long))
    loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in mapping.named_parameters()}
    mapping.zero_grad()
    terms = [
        segmentation_loss(anomaly_logits(chain(features[part]), texts, 20), features[MASK])
        for part, chain in zip(TAPS, chains(mapping, relu=relu), strict=True)
    ]
    torch.stack(terms).sum().backward()
    torch.testing.assert_close(loss, torch.stack(terms).sum())
    for name, parameter in mapping.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-4)
        assert found[name].abs().max() > 0


def test_one_seed_gives_one_head_and_no_two_layers_are_alike() -> None:
    one, same, other = head(5), head(5), head(5, seed=1)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        assert not torch.equal(tensor, other.state_dict()[name])
    weights = [layer.weight for layers in one.before for layer in layers]
    assert not any(torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])
