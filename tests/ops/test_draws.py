"""Work that draws random numbers leaves the global generators as it found them."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from stackclip.ops.draws import same_draws_after

CPU = torch.device("cpu")


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_what_is_drawn_inside_does_not_change_what_is_drawn_after() -> None:
    with same_draws_after(CPU):
        expected = draws()
    with same_draws_after(CPU):
        draws()
        torch.manual_seed(7)
        np.random.seed(7)
    assert draws() == expected


def test_work_that_fails_leaves_the_generators_as_they_were_too() -> None:
    with same_draws_after(CPU):
        expected = draws()

    def fails() -> None:
        draws()
        raise RuntimeError

    with pytest.raises(RuntimeError), same_draws_after(CPU):
        fails()
    assert draws() == expected
