"""Methods that learn the same: one of them learns, and the others take what it learned."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from stackclip.errors import StackclipError
from stackclip.methods.pieces import LearningPiece, Schooling
from stackclip.registry import guarded
from stackclip.training.failures import Failures
from stackclip.training.trainee import Trainee

__all__ = ["Followers", "catch_up", "left_alone", "tie_pieces"]


@dataclass(frozen=True)
class Followers:
    """Methods in classes of those that learn the same, from where they are: the first of each class learns for it."""

    classes: tuple[tuple[Trainee, ...], ...]

    @classmethod
    def of(cls, learning: Iterable[Trainee], named: Callable[[str], str]) -> Followers:
        """`named` gives what a method learns a name, by its spec. Curves of a class stand with all its members."""
        classes: dict[object, list[Trainee]] = {}
        for each in learning:
            stages = tuple((stage.name, stage.epochs, stage.batch) for stage in each.working.stages)
            classes.setdefault((named(each.spec), each.steps, stages, each.samples), []).append(each)
        for learner, *others in classes.values():
            for each in others:
                learner.curves |= each.curves
                each.curves = learner.curves
        return cls(tuple(map(tuple, classes.values())))

    @property
    def learners(self) -> Sequence[Trainee]:
        """Those that learn."""
        return [learner for learner, *_ in self.classes]

    @property
    def taken(self) -> int:
        """How many take what another learned."""
        return sum(len(alike) - 1 for alike in self.classes)

    def with_(self, learner: Trainee) -> tuple[Trainee, ...]:
        """A learner and those that take from it, all as far as it is."""
        alike = next(alike for alike in self.classes if alike[0] is learner)
        for each in alike[1:]:
            each.be_as_far_as(learner)
        return alike

    def take(self, failures: Failures) -> None:
        """Give all others what was learned; where that went wrong it went wrong for them too."""
        for learner in self.learners:
            for each in self.with_(learner)[1:]:
                each.error = each.error or learner.error
                failures.attempt(each, _take, each, learner)


def _take(trainee: Trainee, learner: Trainee) -> None:
    """Let a detector be as if it had learned itself."""
    state = {name: tensor.detach().clone() for name, tensor in learner.working.state_dict().items()}
    trainee.working.load_state_dict(state)
    for own, other in zip(pieces_of(trainee), pieces_of(learner), strict=True):
        own.take(other)


def tie_pieces(learners: Iterable[Trainee]) -> int:
    """Let each piece that methods have in common be learned by the first of them that is at its beginning.

    Returns how many are left to others.
    """
    tied = 0
    known: dict[Hashable, LearningPiece] = {}
    for trainee in learners:
        for piece in pieces_of(trainee) if not trainee.steps else ():
            with suppress(StackclipError), guarded():  # its own step says what is wrong
                lesson = type(piece), piece.lesson(), trainee.stage.batch, trainee.samples
                teacher = known.setdefault(lesson, piece)
                if teacher is not piece:
                    piece.schooling.teacher, tied = teacher, tied + 1
    return tied


def catch_up(trainee: Trainee) -> None:
    """Let the pieces of a method take what was learned of them by others so far."""
    for piece in pieces_of(trainee):
        if piece.schooling.teacher is not None:
            piece.take(piece.schooling.teacher)
            if trainee.finished:
                piece.schooling.teacher = None


def left_alone(learners: Iterable[Trainee]) -> list[Trainee]:
    """Methods that lost who learned a piece for them, as if nothing had happened to them."""
    left = [each for each in learners if any(piece.schooling.is_left for piece in pieces_of(each))]
    for each in left:
        each.error = ""
    return left


def pieces_of(trainee: Trainee) -> tuple[LearningPiece, ...]:
    """What of a method learns by itself; nothing where its detector names no such."""
    found = getattr(trainee.detector, "pieces", ())
    named = found if isinstance(found, tuple) else ()  # a detector from outside may call anything so
    return tuple(each for each in named if isinstance(getattr(each, "schooling", None), Schooling))
