"""A detector that notes what it is given, and a source of numbers in the place of features."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from stackclip.methods import Detector, Moment, Stage
from stackclip.types import CLS, Features, Part, Sample


class Noting(Detector):
    """Notes the batches and moments that it is given, and adds the numbers of its pictures up."""

    def __init__(self, *stages: Stage) -> None:
        super().__init__()
        self.stages = stages
        self.register_buffer("total", torch.zeros(()))
        self.batches: list[tuple[int, ...]] = []
        self.moments: list[Moment] = []

    def step(self, features: Features, at: Moment) -> Mapping[str, float]:
        self.batches.append(tuple(features[CLS][:, 0].int().tolist()))
        self.moments.append(at)
        self.total += features[CLS].sum()
        return {"loss": float(features[CLS].mean())}


class Numbers:
    """Each picture's one feature is its number; what is asked for is noted."""

    def __init__(self, pictures: Sequence[Sample]) -> None:
        self.pictures = list(pictures)
        self.asked: list[tuple[int, frozenset[Part], int]] = []

    def batches(self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int) -> Generator[Features]:
        self.asked.append((len(samples), frozenset(parts), size))
        memory = torch.empty(size, 1)  # used again for each batch, as a reader does
        for start in range(0, len(samples), size):
            batch = tuple(samples[start : start + size])
            memory[: len(batch), 0] = torch.tensor([float(self.pictures.index(sample)) for sample in batch])
            yield Features(batch, {part: memory[: len(batch)] for part in parts})


@pytest.fixture
def noting() -> type[Noting]:
    return Noting


@pytest.fixture
def numbers() -> type[Numbers]:
    return Numbers


@pytest.fixture
def pictures() -> tuple[Sample, ...]:
    names = [f"{number:02}.png" for number in range(7)]
    return tuple(Sample(name, "set", "nut", "test", Path(name), None, 0, "good") for name in names)
