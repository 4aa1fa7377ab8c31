"""A shard is every n-th of a list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackclip.errors import UsageError
from stackclip.ops.shards import Shard


@given(st.integers(1, 9), st.integers(0, 40))
def test_shards_have_nothing_in_common_and_together_all(count: int, length: int) -> None:
    shards = [Shard.parse(f"{index}/{count}").of(range(length)) for index in range(1, count + 1)]
    assert sorted(item for shard in shards for item in shard) == list(range(length))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.integers(1, 9), st.integers(0, 8), st.integers(0, 40))
def test_the_halves_of_a_shard_are_the_shard(count: int, index: int, length: int) -> None:
    shard = Shard(index % count, count)
    first, second = (half.of(range(length)) for half in shard.halves())
    assert sorted(first + second) == list(shard.of(range(length)))


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1", "1/0", "a/b", "1/4/2", "-1/4", "1.0/4", "", "１/4", "1 / 4", 3, None]
)
def test_what_is_no_shard_is_told_what_was_wanted(text: str) -> None:
    with pytest.raises(UsageError, match="wanted i/n, as 1/4 for the first of four, up to 4/4"):
        Shard.parse(text)
    assert str(Shard.parse(" 4/4\n")) == "4/4"
