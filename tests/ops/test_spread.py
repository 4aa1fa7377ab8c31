"""A few of many: never more than asked for, in order, at one distance."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stackclip.ops.spread import evenly


@pytest.mark.parametrize("most", [1, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 9, 100])
def test_no_more_than_asked_for_the_first_among_them_and_at_one_distance(count: int, most: int) -> None:
    found = evenly(range(count), most)
    assert len(found) <= most
    assert found[:1] == ([0] if count else [])
    assert len({after - before for before, after in pairwise(found)}) <= 1
    assert count > most or found == list(range(count))
