"""The class name in the class slot, as WinCLIP and APRIL-GAN do."""

from __future__ import annotations

from stackclip.prompts.strategy import Encode
from stackclip.registry import prompts

__all__ = ["Precise"]


@prompts.register("precise")
class Precise:
    """Every category goes by its own name (FuzzyCLIP, figure 1a)."""

    epochs = 15  # FuzzyCLIP trains its precise baseline this long

    def stacks(self, categories: tuple[str, ...], encode: Encode) -> tuple[tuple[str, ...], ...]:
        """One stack; its members keep their own names."""
        return (categories,)

    def subject(self, category: str, stack: tuple[str, ...], *, seen: bool) -> str:
        """The category's name."""
        return category
