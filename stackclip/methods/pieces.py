"""Parts of a method that learn by themselves, so that methods which have one in common learn it once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from stackclip.errors import StackclipError
from stackclip.methods.method import Moment, Terms
from stackclip.registry import Shelf, Spec, as_learned

__all__ = ["LearningPiece", "Schooling", "called"]


class LearningPiece(Protocol):
    """What learns by itself, and may stay as it is while another with the same lesson learns."""

    schooling: Schooling

    def lesson(self) -> Hashable:
        """All that what it learns depends on, but for pictures and batches. Raises what making its texts raises."""

    def take(self, other: Any) -> None:
        """Become as another is whose lesson was the same: what it learned, and all that its training needs."""


@dataclass
class Schooling:
    """How a piece comes to its steps: by itself, or by those of a `teacher`; `is_left` once that one went away."""

    teacher: LearningPiece | None = None
    is_left: bool = False
    _epoch: int = 0
    _terms: dict[int, Terms] = field(default_factory=dict)

    def step(self, at: Moment, learn: Callable[[], Terms]) -> Terms:
        """The terms of a step, which is taken here or was by the teacher. Raises StackclipError where it was not."""
        if self.teacher is not None:
            other = self.teacher.schooling
            if other._epoch != at.epoch or at.step not in other._terms:
                self.is_left = True
                raise StackclipError("the method that a part of it was learned with failed")
            return dict(other._terms[at.step])
        if self._epoch != at.epoch:
            self._epoch, self._terms = at.epoch, {}
        self._terms[at.step] = learn()
        return dict(self._terms[at.step])


def called(shelf: Shelf, text: str) -> str:
    """The spec of a component in the one spelling of all that learn the same."""
    spec = Spec.parse(text)
    return str(as_learned(shelf.find(spec.name), spec))
