"""What a bench did not have to do, since it had done the same for another method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stackclip.benchmarks.evaluation import Evaluation
from stackclip.clip import TextEncoder
from stackclip.ops.words import counted

__all__ = ["Savings"]


@dataclass
class Savings:
    """Trainings that were done and those that were taken from them; evaluations of maps likewise.

    `parts` are heads and learners that trainings had in common.
    """

    learned: int = 0
    taken: int = 0
    parts: int = 0
    measured: int = 0
    alike: int = 0

    def count(self, evaluations: Iterable[Evaluation]) -> None:
        """Take note of evaluations of a cell."""
        for each in evaluations:
            if each.peaks and each.equal is not None:
                self.alike += each.equal.is_served(each)
                self.measured += not each.equal.is_served(each)

    def say(self, methods: int, encode: TextEncoder) -> str:
        """How much was done, and for how much it served, in a line; empty where nothing served twice."""
        told = []
        if self.taken or self.parts:
            parts = f" ({counted(self.parts, 'part')} learned once for several)" if self.parts else ""
            told.append(f"{counted(self.learned, 'training')}{parts}, {self.taken} taken from {_them(self.learned)}")
        if self.alike:
            served = f"{self.alike} had the same as {_them(self.measured)}"
            told.append(f"maps of {counted(self.measured, 'cell')} measured, {served}")
        if told and encode.asked > encode.encoded:
            told.append(f"{counted(encode.encoded, 'text')} encoded of {encode.asked} asked")
        return f"{counted(methods, 'method')}: {'; '.join(told)}" if told else ""


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
