"""Attention of tokens to the patches of a tap by anchors, and the alignment of patches: against loops."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.heads.spatial import SelfAlignment, SpatialCrossAttention

WIDTH, PATCHES, ANCHORS = 6, 5, 3


def attention(*, dropout: float = 0.0, seed: int = 0) -> SpatialCrossAttention:
    """One whose neutral numbers are no longer so."""
    draws = torch.Generator().manual_seed(seed)
    made = SpatialCrossAttention(WIDTH, PATCHES, anchors=ANCHORS, dropout=dropout, draws=draws)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=draws)
    return made


def tokens_and_patches() -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(9)
    return torch.randn(4, 2, WIDTH, generator=draws), torch.randn(4, PATCHES, WIDTH, generator=draws)


def normed(vector: Tensor, norm: nn.LayerNorm) -> Tensor:
    centred = vector - vector.mean()
    return centred / (centred.square().mean() + 1e-5).sqrt() * norm.weight + norm.bias


@torch.no_grad()
def test_a_token_takes_in_what_each_anchor_sees_as_far_as_its_gates_are_open() -> None:
    made, (tokens, patches) = attention(), tokens_and_patches()
    found = made(tokens, patches)
    for picture in range(4):
        for place in range(2):
            token, seen = tokens[picture, place], torch.zeros(WIDTH)
            for anchor, gate, bias in zip(made.anchors, made.gate.weight, made.gate.bias, strict=True):
                query, weights = normed(made.query.weight @ anchor, made.query_norm), []
                for patch, position in zip(patches[picture], made.positions, strict=True):
                    key = normed(made.key.weight @ (patch + position), made.key_norm)
                    weights.append(math.exp(float(query @ key) / math.sqrt(WIDTH)))
                opened = torch.sigmoid(gate @ token + bias)
                for patch, share in zip(patches[picture], weights, strict=True):
                    seen += opened * share / sum(weights) * (made.value.weight @ patch)
            expected = token + made.share * (made.out.weight @ seen + made.out.bias)
            torch.testing.assert_close(found[picture, place], expected)


@torch.no_grad()
def test_at_the_start_a_token_is_hardly_moved() -> None:
    draws = torch.Generator().manual_seed(0)
    made, (tokens, patches) = SpatialCrossAttention(WIDTH, PATCHES, draws=draws), tokens_and_patches()
    moved = made.eval()(tokens, patches) - tokens
    assert 0 < moved.abs().max() < 0.1 * tokens.abs().max()


def test_dropout_is_drawn_for_each_token_and_not_at_test() -> None:
    made, (tokens, patches) = attention(dropout=0.5), tokens_and_patches()
    alike = tokens[:, :1].expand(-1, 2, -1)
    dropped = made(alike, patches)
    assert not torch.equal(dropped[:, 0], dropped[:, 1])
    still = made.eval()(alike, patches)
    torch.testing.assert_close(still[:, 0], still[:, 1])
    assert torch.equal(made(alike, patches), still)


def test_patches_are_aligned_by_two_layers_without_a_residual() -> None:
    made = SelfAlignment(WIDTH, dropout=0.0, draws=torch.Generator().manual_seed(0))
    _, patches = tokens_and_patches()
    inner = patches @ made.inner.weight.mT
    expected = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2))) @ made.outer.weight.mT
    torch.testing.assert_close(made(patches), expected)
    with torch.no_grad():
        made.inner.bias += 1
        made.outer.bias += 2
    torch.testing.assert_close(made(patches), F.gelu(inner + 1) @ made.outer.weight.mT + 2)


def test_one_seed_draws_the_same_and_another_others() -> None:
    one, again, other = (attention(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
