"""What modules that learn share: their numbers, what was made of them until they change, dropout from a seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stackclip.ops.modules import SeededDropout, WhileUnchanged, numbers_in


def test_numbers_are_those_of_all_parameters() -> None:
    assert numbers_in(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))) == 3 * 4 + 4 + 4 * 2


def test_tensors_are_made_again_after_a_change_alone_and_each_key_has_its_own() -> None:
    layer, made = nn.Linear(2, 1, bias=False), []

    def weight() -> Tensor:
        made.append(layer.weight.detach().clone())
        return made[-1]

    known = WhileUnchanged(layer)
    assert torch.equal(known.get(weight), known.get(weight))
    assert torch.equal(known.get(weight, "other"), layer.weight)
    assert len(made) == 2
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    assert torch.equal(known.get(weight), layer.weight)
    layer.load_state_dict({"weight": torch.zeros(1, 2)})
    assert torch.equal(known.get(weight), torch.zeros(1, 2))
    assert len(made) == 4


def test_dropout_drops_its_share_in_training_keeps_the_mean_and_draws_from_its_generator_alone() -> None:
    draws, ours = torch.Generator().manual_seed(0), torch.get_rng_state()
    dropout, values = SeededDropout(0.25, draws), torch.ones(100, 200, requires_grad=True)
    found = dropout(values)
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (found == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    found.sum().backward()
    assert torch.equal(values.grad, found)
    assert not torch.equal(dropout(values), found)
    draws.manual_seed(0)
    assert torch.equal(dropout(values), found)
    assert torch.equal(torch.get_rng_state(), ours)


def test_no_dropout_at_test_or_of_no_share_and_nothing_is_drawn() -> None:
    draws, values = torch.Generator().manual_seed(0), torch.ones(3)
    before = draws.get_state()
    assert SeededDropout(0.0, draws)(values) is values
    assert SeededDropout(0.5, draws).eval()(values) is values
    assert torch.equal(draws.get_state(), before)
