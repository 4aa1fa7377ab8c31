"""What a method looks at beside the pictures is found out by trying it on noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor

from stackclip.benchmarks.habits import Habits, habits_of
from stackclip.methods.category_prompts import CategoryPrompts
from stackclip.methods.promptad import PromptAdDetector


def test_what_learns_from_shots_is_tried_for_one_epoch(small: Any, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[int] = []
    lessons = PromptAdDetector.lessons

    def counted(self: PromptAdDetector, prompts: CategoryPrompts, tokens: Tensor) -> Iterator[dict[str, float]]:
        taught.append(self.stage.epochs)
        return lessons(self, prompts, tokens)

    monkeypatch.setattr(PromptAdDetector, "lessons", counted)
    tested = small.tested.select(categories=small.tested.categories[:1])
    run = bench(small.plan("promptad[shots=2]", "promptad[shots=2,states=general]", epochs=None, test_on=(tested,)))
    found = habits_of(run.of_seed(0))
    assert set(found.values()) == {Habits(trains=False, reads_name=True)}
    assert taught == [1] * 8  # two methods, two names, two tasks
