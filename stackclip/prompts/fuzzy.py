"""One word for every product."""

from __future__ import annotations

from stackclip.prompts.strategy import Encode
from stackclip.registry import prompts

__all__ = ["Fuzzy"]


@prompts.register("fuzzy")
class Fuzzy:
    """Every category is called "object", or another `word` (FuzzyCLIP, figure 1b)."""

    epochs = 2

    def __init__(self, *, word: str = "object") -> None:
        self.word = word

    def stacks(self, categories: tuple[str, ...], encode: Encode) -> tuple[tuple[str, ...], ...]:
        """One stack of all categories."""
        return (categories,)

    def subject(self, category: str, stack: tuple[str, ...], *, seen: bool) -> str:
        """The word, whatever the category."""
        return self.word
