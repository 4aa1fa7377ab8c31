"""What is made of a module is made once, until a step or weights from elsewhere change it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stackclip.ops.modules import WhileUnchanged, numbers_in


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
