"""Batches of each set's own pictures: what is given, in which order, how much waits, and that it is copied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from stackclip.heads import SetQueues
from stackclip.types import CLS, MASK, NORMAL, Features, Sample, patch

PARTS = frozenset({patch(1), MASK})


def scan(numbers: Sequence[int]) -> Features:
    """Pictures whose parts hold their number."""
    samples = tuple(Sample(str(n), "x", "x", "test", Path("x"), None, NORMAL, "good") for n in numbers)
    values = torch.tensor(numbers, dtype=torch.float32)
    parts = {patch(1): values[:, None, None].repeat(1, 2, 3), MASK: values[:, None, None], CLS: values[:, None]}
    return Features(samples, parts)


def numbers_of(features: Features) -> list[int]:
    numbers = [int(sample.id) for sample in features.samples]
    assert features[patch(1)].tolist() == [[[n] * 3] * 2 for n in numbers]
    assert features[MASK].flatten().tolist() == numbers
    return numbers


@pytest.mark.parametrize("size", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("at_once", [1, 4, 7, 12])
def test_each_set_is_given_its_own_pictures_as_if_they_were_read_alone(size: int, at_once: int):
    count, sets = 12, 3
    of = [number * number % 5 % sets for number in range(count)]
    queues, found = SetQueues(sets, size, PARTS), {index: [] for index in range(sets)}
    for start in range(0, count, at_once):
        chosen = list(range(start, min(count, start + at_once)))
        which = torch.tensor([of[n] for n in chosen])
        for batch in queues.batches(scan(chosen), which, last=chosen[-1] == count - 1):
            numbers = numbers_of(batch)
            found[of[numbers[0]]].append(numbers)
    for index in range(sets):
        own = [n for n in range(count) if of[n] == index]
        assert found[index] == [own[start : start + size] for start in range(0, len(own), size)]
    assert queues.steps.tolist() == [len(found[index]) for index in range(sets)]


def test_a_new_epoch_begins_with_empty_queues():
    queues = SetQueues(2, 3, PARTS)
    for _ in range(2):
        given = [numbers_of(batch) for batch in queues.batches(scan([0, 1]), torch.tensor([0, 1]), last=True)]
        assert given == [[0], [1]]


def test_pictures_that_wait_are_copies_and_only_of_the_parts_asked_for():
    queues, buffer = SetQueues(2, 2, PARTS), scan([7])
    assert not list(queues.batches(buffer, torch.tensor([1]), last=False))
    for tensor in buffer.parts.values():
        tensor.fill_(-1)  # the reader's memory is used again
    [batch] = [{**each.parts} for each in queues.batches(scan([8]), torch.tensor([1]), last=False)]
    assert set(batch) == PARTS
    assert batch[MASK].flatten().tolist() == [7, 8]


def test_no_more_than_a_batch_of_each_set_is_ever_held():
    queues = SetQueues(3, 4, PARTS)
    for start in range(0, 60, 6):
        for _ in queues.batches(scan(range(start, start + 6)), torch.arange(6) % 3, last=False):
            pass
        held = [tensor for queue in queues._queues for tensor in queue._kept.values()]
        assert sum(len(tensor) for tensor in held) <= 3 * 4 * len(PARTS)
        assert all(len(queue.samples) < 4 for queue in queues._queues)
