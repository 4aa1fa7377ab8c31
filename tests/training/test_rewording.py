"""Phrases in other words: what is words is read otherwise, what is learned goes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from stackclip.clip import TextEncoder
from stackclip.training.rewording import RewordedText, Rewording
from stackclip.training.text import TaskEncode


class Recorder:
    """A text tower that keeps what it is asked; a phrase has as many tokens as words, and may have four."""

    context_length, text_depth = 4, 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def count_tokens(self, phrase: str) -> int:
        return len(phrase.split())

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        self.asked += phrases
        return torch.zeros(len(phrases), 1)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        return tokens + 1

    def encode_embedded(
        self,
        embedded: Tensor,
        ends: Tensor,
        *,
        deep: Mapping[int, Tensor] | None = None,
        placing: Any = "insert",
        after: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
        project: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        self.told = (deep, placing, after, project)
        return embedded


def shout(phrase: str) -> str:
    return phrase.replace("good", "very fine").replace("bad", "foul")


def test_tokens_are_those_of_the_other_words_and_what_is_learned_passes() -> None:
    text = Recorder()
    reworded = RewordedText(text, Rewording(shout, text))
    reworded.tokenize(["a good nut", "", "a nut"])
    assert text.asked == ["a very fine nut", "", "a nut"]
    assert reworded.count_tokens("a good nut") == 4
    assert (reworded.context_length, reworded.text_depth) == (4, 3)
    learned = torch.rand(2, 3, 4, requires_grad=True)
    assert reworded.encode_embedded(learned, torch.ones(2), deep={1: learned}, placing="replace") is learned
    assert text.told == ({1: learned}, "replace", None, None)
    assert torch.equal(reworded.embed_tokens(torch.ones(1)), torch.full((1,), 2.0))


def test_what_would_be_too_long_stays_and_is_counted_once() -> None:
    reword = Rewording(shout, Recorder())
    said = [reword(phrase) for phrase in ("a bad nut", "a good good nut", "a good good nut", "a nut")]
    assert said == ["a foul nut", "a good good nut", "a good good nut", "a nut"]
    assert (reword.asked, reword.changed, reword.too_long) == (3, 1, 1)


def test_without_other_words_the_tower_is_itself() -> None:
    text = Recorder()
    assert RewordedText.of(text, None) is text
    assert RewordedText.of(None, Rewording(shout, text)) is None


def test_features_are_those_of_the_other_phrases() -> None:
    text = Recorder()
    encoder = cast(TextEncoder, SimpleNamespace(count_tokens=text.count_tokens))
    encode = TaskEncode(encoder, reword=shout)
    assert encode.count_tokens("a good nut") == 4
    TaskEncode(cast(TextEncoder, text.tokenize), reword=shout)(["a bad nut", "a nut"])
    assert text.asked == ["a foul nut", "a nut"]


@pytest.mark.parametrize("phrase", ["", "good", "a " * 3 + "good"])
def test_nothing_is_asked_twice(phrase: str) -> None:
    asked: list[str] = []
    reword = Rewording(lambda text: asked.append(text) or text, Recorder())
    assert [reword(phrase), reword(phrase)] == [phrase] * 2
    assert asked == [phrase]
