"""The text encoder encodes a phrase once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from stackclip.clip import TextEncoder, Tower, random_tower
from stackclip.errors import UsageError


class Memory:
    """What was remembered, and what was asked."""

    def __init__(self) -> None:
        self.held: dict[str, np.ndarray] = {}
        self.asked: list[tuple[str, ...]] = []
        self.told: list[tuple[str, ...]] = []

    def lookup(self, phrases: Sequence[str]) -> dict[str, np.ndarray]:
        self.asked.append(tuple(phrases))
        return {phrase: self.held[phrase] for phrase in phrases if phrase in self.held}

    def remember(self, phrases: Sequence[str], features: np.ndarray) -> None:
        self.told.append(tuple(phrases))
        self.held.update(zip(phrases, features, strict=True))


@pytest.fixture(scope="module")
def tower() -> Tower:
    return random_tower()


@pytest.fixture
def encoded(tower: Tower, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The phrases that reached the text tower."""
    seen: list[str] = []
    encode = tower.encode_text

    def record(phrases: Sequence[str]) -> torch.Tensor:
        seen.extend(phrases)
        return encode(phrases)

    monkeypatch.setattr(tower, "encode_text", record)
    return seen


def test_each_distinct_phrase_is_encoded_once(tower: Tower, encoded: list[str]) -> None:
    encoder = TextEncoder(tower)
    first = encoder(["a", "b", "a", "c"])
    second = encoder(["c", "d", "a"])
    assert encoded == ["a", "b", "c", "d"]
    assert torch.equal(first[0], first[2])
    assert torch.equal(first[3], second[0])
    torch.testing.assert_close(first, tower.encode_text(["a", "b", "a", "c"]), atol=1e-5, rtol=0)


def test_a_memory_is_asked_first_and_told_of_the_rest(tower: Tower, encoded: list[str]) -> None:
    memory = Memory()
    before = TextEncoder(tower, memory)(["a", "b"])
    encoder = TextEncoder(tower, memory)
    after = encoder(["b", "c", "b"])
    assert encoded == ["a", "b", "c"]
    assert memory.asked == [("a", "b"), ("b", "c")]
    assert memory.told == [("a", "b"), ("c",)]
    assert torch.equal(before[1], after[0])
    encoder(["b", "c"])
    assert len(memory.asked) == 2


def test_features_of_lower_precision_in_a_memory_come_back_as_float32(tower: Tower) -> None:
    memory = Memory()
    memory.held["a"] = np.full(96, 0.5, np.float16)
    features = TextEncoder(tower, memory)(["a"])
    assert features.dtype == torch.float32
    assert torch.equal(features, torch.full((1, 96), 0.5))


def test_no_phrases_have_no_features(tower: Tower) -> None:
    assert TextEncoder(tower)([]).shape == (0, 96)


def test_a_phrase_that_is_too_long_leaves_nothing_behind(tower: Tower) -> None:
    memory = Memory()
    encoder = TextEncoder(tower, memory)
    with pytest.raises(UsageError, match="82 tokens"):
        encoder(["short", " ".join(["bolt"] * 80)])
    assert not memory.held
    assert encoder.count_tokens("bolt") == 3
    assert encoder.context_length == 77
