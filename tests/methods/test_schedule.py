"""The step of an optimiser that methods share."""

from __future__ import annotations

import pytest
import torch

from stackclip.errors import BrokenPlugin
from stackclip.methods.schedule import descend


def test_one_step_goes_down_the_loss_and_tells_all_terms() -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0))
    terms = descend(torch.optim.SGD([weight], lr=0.1), {"loss": weight**2, "other": -weight})
    assert terms == {"loss": 1.0, "other": -1.0}
    assert weight.item() == pytest.approx(0.8)


def test_terms_without_a_loss_are_refused_by_name() -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0))
    with pytest.raises(BrokenPlugin, match=r"its terms are dice; wanted one called loss, which is descended"):
        descend(torch.optim.SGD([weight], lr=0.1), {"dice": weight**2})


def test_gradients_that_are_clipped_are_shortened_each_by_itself() -> None:
    long, short, free = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    loss = 3 * long[0] + 4 * long[1] + 0.5 * short[0] + 7 * free[1]
    descend(torch.optim.SGD([long, short, free], lr=1.0), {"loss": loss}, clipped=[long, short])
    for parameter, moved in ((long, [-0.6, -0.8]), (short, [-0.5, 0.0]), (free, [0.0, -7.0])):
        torch.testing.assert_close(parameter.detach(), torch.tensor(moved))
