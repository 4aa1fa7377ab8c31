"""Memory that is lent: what somebody holds never changes, what nobody holds is used again."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from stackclip.cache import Buffers

SHAPE, BYTES = (4, 1 << 18), 4 << 20


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_that_nobody_holds_is_lent_again() -> None:
    buffers = Buffers()
    array = buffers.empty(SHAPE, np.float32)
    assert (array.shape, array.dtype, array.nbytes) == (SHAPE, np.float32, BYTES)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    place = address(array)
    assert buffers.idle == 0
    del array
    assert buffers.idle == BYTES
    assert address(buffers.empty(SHAPE, np.float32)) == place


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array[1:, 3:],
        lambda array: array.reshape(-1).view(np.uint8),
        lambda array: memoryview(array),
        torch.from_numpy,
        lambda array: torch.from_numpy(array).view(-1)[5:],
        lambda array: iter(array),
    ],
)
def test_whatever_reaches_the_memory_holds_it(hold) -> None:
    buffers = Buffers()
    held = hold(buffers.empty(SHAPE, np.float32))
    gc.collect()
    assert buffers.idle == 0
    del held
    assert buffers.idle == BYTES


def test_memory_serves_arrays_that_need_most_of_it() -> None:
    buffers = Buffers()
    place = address(buffers.empty(SHAPE, np.float32))
    assert address(buffers.empty((SHAPE[0], SHAPE[1] - 9), np.float32)) == place
    assert address(buffers.empty((SHAPE[0] * 2, SHAPE[1]), np.float16)) == place
    small = buffers.empty((SHAPE[0] // 2, SHAPE[1]), np.float32)
    assert address(small) != place
    assert buffers.idle == BYTES


def test_no_more_than_the_limit_waits() -> None:
    buffers = Buffers(limit=2 * BYTES)
    arrays = [buffers.empty(SHAPE, np.float32) for _ in range(5)]
    last = address(arrays[-1])
    while arrays:
        arrays.pop(0)
    assert buffers.idle == 2 * BYTES
    assert last in {address(buffers.empty(SHAPE, np.float32)) for _ in range(2)}


def test_small_arrays_are_the_allocators() -> None:
    buffers = Buffers()
    buffers.empty((8, 768), np.float16)
    buffers.empty((0, 768), np.float16)
    assert buffers.idle == 0


def test_threads_never_get_the_same_memory_at_once() -> None:
    buffers, start = Buffers(), threading.Barrier(4)

    def work(number: int) -> int:
        start.wait()
        wrong = 0
        for _ in range(200):
            array = buffers.empty((1 << 18,), np.float32)
            array[::4096] = number
            other = buffers.empty((1 << 18,), np.float32)
            other[::4096] = -number
            wrong += int((array[::4096] != number).any())
        return wrong

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(1, 5))) == [0, 0, 0, 0]
    assert buffers.idle <= 12 << 20  # three a thread: a new array is made before the old one's name lets go
