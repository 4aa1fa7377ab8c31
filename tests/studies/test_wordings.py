"""Draws of words as benches: the words as they are first, and every method in the same draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.plan import Plan
from stackclip.data import Dataset
from stackclip.errors import UsageError
from stackclip.studies.wordings import wordings_of

PLAN = Plan(methods=("clip", "winclip"), train_on=(), test_on=(Dataset("a", Path("/a"), "folder", (), ""),))


def test_draw_0_comes_first_and_a_draw_does_not_depend_on_how_many_there_are() -> None:
    assert wordings_of(PLAN, 0) == (PLAN,)
    assert wordings_of(PLAN, 2) == (PLAN, replace(PLAN, words=1), replace(PLAN, words=2))
    assert wordings_of(PLAN, 3)[:3] == wordings_of(PLAN, 2)


@pytest.mark.parametrize("draws", [-1, 1.5, "3", True, None])
def test_what_is_no_number_of_draws_is_refused(draws: Any) -> None:
    with pytest.raises(UsageError, match=r"prompt_jitter=.*wanted how many"):
        wordings_of(PLAN, draws)
