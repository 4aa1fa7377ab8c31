"""Portions cover a batch, and one processor's cache holds each."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stackclip.ops.portions import PORTION, portions


@given(pictures=st.integers(0, 50), numbers=st.integers(0, 3 * PORTION))
def test_portions_cover_a_batch_in_order_and_stay_small(pictures: int, numbers: int):
    batch = torch.empty(pictures, 0)
    found = [list(range(pictures)[some]) for some in portions(batch, numbers)]
    assert [row for rows in found for row in rows] == list(range(pictures))
    assert all(len(rows) == 1 or len(rows) * numbers <= PORTION for rows in found)


@pytest.mark.parametrize("numbers", [1, 2 * PORTION])
def test_off_the_cpu_all_pictures_are_one_portion(numbers: int):
    assert list(portions(torch.empty(9, 4, device="meta"), numbers)) == [slice(0, 9)]
