"""Tokens for a tower: in front of its own, and in its layers static ones plus those that a picture's token makes."""

from __future__ import annotations

import torch

from stackclip.clip import random_tower
from stackclip.methods.tokens import FrontTokens, PromptTokens


def tokens(*, half: bool = False, seed: int = 0) -> PromptTokens:
    draws = torch.Generator().manual_seed(seed)
    return PromptTokens(range(2, 5), count=3, width=8, joint=4, half=half, draws=draws)


def test_each_layer_has_its_static_tokens_and_all_have_the_same_dynamic_ones() -> None:
    made, cls = tokens(), torch.randn(4, generator=torch.Generator().manual_seed(1))
    found = made(cls)
    assert list(found) == [2, 3, 4]
    dynamic = (made.dynamic.weight @ cls + made.dynamic.bias).reshape(3, 8)
    for layer, static in zip((2, 3, 4), made.static, strict=True):
        torch.testing.assert_close(found[layer], dynamic + static)


def test_one_seed_draws_the_same_and_another_others() -> None:
    one, again, other = (dict(tokens(seed=seed).named_parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_rounded_tokens_are_those_of_float16_and_pass_gradients() -> None:
    made, cls = tokens(half=True), torch.ones(4)
    found = made(cls)[3]
    assert torch.equal(found, found.half().float())
    assert not torch.equal(found, tokens()(cls)[3])
    found.sum().backward()
    assert made.static[1].grad is not None
    assert made.dynamic.weight.grad is not None


def test_tokens_in_front_enter_with_the_position_of_the_class_token() -> None:
    tower = random_tower(image_size=32)
    visual, width = tower.model.visual, tower.spec.width
    made = FrontTokens(2, width=width, draws=torch.Generator().manual_seed(0))
    entered = made(tower.image)
    for own, token in zip(made.each, entered, strict=True):
        torch.testing.assert_close(token, visual.ln_pre(own + visual.positional_embedding[0]))
    spread = torch.stack(tuple(made.each)).std().item()
    assert 0.08 < spread * width**0.5 < 0.12
    entered.square().sum().backward()
    assert all(own.grad is not None for own in made.each)
