"""Results come in order, made ahead by threads that end when nobody asks any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from stackclip.cache import in_batches, prefetch


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stackclip-reader")]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads) -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(prefetch(work, range(12), threads=threads)) == [item * item for item in range(12)]
    assert list(prefetch(work, (), threads=threads)) == []
    assert readers() == []


def test_no_more_than_is_asked_for_is_begun() -> None:
    begun = []
    results = prefetch(begun.append, range(10), threads=2)
    assert begun == []
    next(results)
    next(results)
    results.close()
    assert sorted(begun) == list(range(len(begun)))
    assert 2 <= len(begun) <= 5
    assert readers() == []


def test_an_error_stands_where_its_result_would() -> None:
    results = prefetch(lambda item: 6 // item, [3, 2, 0, 1], threads=2)
    assert (next(results), next(results)) == (2, 3)
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert readers() == []


def test_a_scan_that_is_left_early_leaves_no_thread() -> None:
    def leave() -> Iterator[int]:
        yield from prefetch(lambda item: item, range(100), threads=3)

    for item in leave():
        if item == 4:
            assert readers()
            break
    assert readers() == []


def test_a_result_is_held_by_nobody_but_the_caller() -> None:
    class Batch:
        alive = 0

        def __init__(self, item: int) -> None:
            Batch.alive += 1

        def __del__(self) -> None:
            Batch.alive -= 1

    most = 0
    for _ in prefetch(Batch, range(20), threads=2):
        most = max(most, Batch.alive)
    assert most <= 5  # the caller's last and its next, and the three that are made ahead


def test_batches_are_full_but_for_the_last() -> None:
    for items in (range(7), iter(range(7)), tuple(range(7))):
        assert list(in_batches(items, 3)) == [(0, 1, 2), (3, 4, 5), (6,)]
    assert list(in_batches((), 3)) == []
