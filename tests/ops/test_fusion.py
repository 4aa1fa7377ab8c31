"""Hybrid semantic fusion against cases that are plain to see."""

from __future__ import annotations

import torch
from torch import Tensor

from stackclip.ops.fusion import semantic_fusion
from stackclip.ops.maps import unit


def tokens_around(*centres: Tensor, each: int, layers: int = 2) -> Tensor:
    """Tokens (layers, P, D), `each` of them at every centre, a little apart."""
    noise = 1e-3 * torch.randn(layers, each * len(centres), 4, generator=torch.Generator().manual_seed(0))
    return torch.stack(centres).repeat_interleave(each, dim=0) + noise


def test_it_is_the_mean_of_the_centres_whatever_their_sizes() -> None:
    axes = torch.eye(4)
    tokens = torch.cat(
        [tokens_around(axes[0], each=7), tokens_around(axes[1], each=3), tokens_around(axes[2], each=10)], 1
    )
    logits = torch.cat([torch.full((10,), 2.0), torch.full((10,), -2.0)])  # the third centre looks normal
    found = semantic_fusion(tokens, logits, clusters=2, seed=0)
    torch.testing.assert_close(found, unit(axes[0] + axes[1]), atol=1e-2, rtol=0)


def test_a_picture_of_few_patches_has_fewer_clusters() -> None:
    tokens = tokens_around(torch.eye(4)[0], torch.eye(4)[3], each=2)
    found = semantic_fusion(tokens, torch.arange(4.0), clusters=20, seed=0)
    torch.testing.assert_close(found, unit(tokens.mean((0, 1))))


def test_equal_patches_are_no_warning_and_gradients_pass() -> None:
    tokens = torch.ones(3, 10, 4, requires_grad=True)
    found = semantic_fusion(tokens, torch.zeros(10), clusters=2, seed=0)
    torch.testing.assert_close(found, torch.full((4,), 0.5))
    found[0].backward()
    assert tokens.grad is not None
    assert tokens.grad.abs().sum() > 0
