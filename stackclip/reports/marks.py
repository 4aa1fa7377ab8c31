"""The mark of methods whose figures depend on all tested pictures of a category together, and what of them does."""

from __future__ import annotations

from stackclip.benchmarks.facts import facts_of
from stackclip.types import Row

__all__ = ["TRANSDUCTIVE", "dependent_on_others"]

TRANSDUCTIVE = "†"
"""What tables mark such methods with."""


def dependent_on_others(row: Row) -> str:
    """What of a method depends on all tested pictures of a category: `scores and maps`, `scores`; empty for nothing.

    Rows that were written before that was a fact of its own have it in how they say their image score is made.
    """
    facts = facts_of(row)
    return facts.transductive or ("scores" if "transductive" in str(facts.kept.get("image_score", "")) else "")
