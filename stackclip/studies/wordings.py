"""How much words alone move methods: one plan in the words as they are, and in draws of equivalent ones."""

from __future__ import annotations

from dataclasses import replace

from stackclip.benchmarks.plan import Plan
from stackclip.errors import UsageError
from stackclip.types import LARGEST_SEED

__all__ = ["wordings_of"]


def wordings_of(plan: Plan, draws: int) -> tuple[Plan, ...]:
    """The plan in the words as they are (draw 0), then in draws 1 to `draws`, which all its methods share.

    A draw is the same however many there are. Raises UsageError for what is no number of draws.
    """
    if isinstance(draws, bool) or not isinstance(draws, int) or not 0 <= draws <= LARGEST_SEED:
        raise UsageError(f"prompt_jitter={draws!r}; wanted how many other word lists are drawn, 1 or more")
    return tuple(replace(plan, words=draw) for draw in range(draws + 1))
