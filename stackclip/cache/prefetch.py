"""Work that threads do before its result is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["in_batches", "prefetch"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int) -> Generator[Result]:
    """The result of each item in order, with the next `threads` items being worked on meanwhile, and one more to begin.

    What the work raises is raised where its result would be. The threads end with the iterator, at its end or closing.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="stackclip-reader") as workers:
        started: deque[Future[Result]] = deque()
        left = iter(items)
        try:
            started.extend(workers.submit(work, item) for item in islice(left, threads + 1))
            while started:
                result = started.popleft().result()
                started.extend(workers.submit(work, item) for item in islice(left, 1))
                yield result
                del result  # what the caller has let go of, nobody holds
        finally:
            for waiting in started:
                waiting.cancel()


def in_batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """The items in order, `size` at a time; the last batch may be smaller."""
    if isinstance(items, Sequence):
        yield from (tuple(items[start : start + size]) for start in range(0, len(items), size))
        return
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch
