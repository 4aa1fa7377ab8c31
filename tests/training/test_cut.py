"""One stream is cut to any size: nothing is lost, doubled or out of order, whatever comes in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stackclip.training.cut import Cut
from stackclip.types import CLS, MASK, Features, Sample


def stream(total: int, size: int) -> list[Features]:
    samples = [Sample(str(at), "set", "nut", "test", Path(str(at)), None, 0, "good") for at in range(total)]
    numbers = torch.arange(float(total))
    return [
        Features(tuple(samples[at : at + size]), {CLS: numbers[at : at + size, None], MASK: numbers[at : at + size]})
        for at in range(0, total, size)
    ]


@pytest.mark.parametrize("total", [1, 5, 16, 17])
@pytest.mark.parametrize("coming", [1, 3, 8, 32])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 32])
def test_batches_are_those_of_a_loader_of_that_size(total: int, coming: int, size: int) -> None:
    cut = Cut(size, total)
    given = [each for features in stream(total, coming) for each in cut.batches(features)]
    wanted = [list(range(at, min(at + size, total))) for at in range(0, total, size)]
    assert [batch[CLS][:, 0].int().tolist() for batch, _ in given] == wanted
    assert [batch[MASK].int().tolist() for batch, _ in given] == wanted
    assert [[int(sample.id) for sample in batch.samples] for batch, _ in given] == wanted
    assert [last for _, last in given] == [False] * (len(wanted) - 1) + [True]


def test_what_lies_whole_in_what_comes_is_not_copied_and_what_waits_is() -> None:
    cut, (first, second) = Cut(2, 6), stream(6, 3)
    [(whole, _)] = cut.batches(first)
    assert whole[CLS].data_ptr() == first[CLS].data_ptr()
    first.parts[CLS].fill_(-1)  # its memory is used again
    assert [batch[CLS][:, 0].tolist() for batch, _ in cut.batches(second)] == [[2.0, 3.0], [4.0, 5.0]]
