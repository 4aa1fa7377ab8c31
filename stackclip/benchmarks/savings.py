"""What a bench did not have to do, since it had done the same for another method."""

from __future__ import annotations

from dataclasses import dataclass

from stackclip.clip import TextEncoder
from stackclip.ops.words import counted

__all__ = ["Savings"]


@dataclass
class Savings:
    """Trainings that were done and those that were taken from them; masks and maps that were measured likewise."""

    learned: int = 0
    taken: int = 0
    maps: int = 0
    alike: int = 0

    def say(self, methods: int, encode: TextEncoder) -> str:
        """How much was done, and for how much it served, in a line; empty where nothing served twice."""
        told = []
        if self.taken:
            told.append(f"{counted(self.learned, 'training')}, {self.taken} taken from {_them(self.learned)}")
        if self.alike:
            told.append(f"maps of {counted(self.maps, 'cell')} measured, {self.alike} equal to {_them(self.maps)}")
        if told and encode.asked > encode.encoded:
            told.append(f"{counted(encode.encoded, 'text')} encoded of {encode.asked} asked")
        return f"{counted(methods, 'method')}: {'; '.join(told)}" if told else ""


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
