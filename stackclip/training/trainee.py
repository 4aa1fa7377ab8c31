"""A detector that is being taught: where in its stages it is, what it lost on the way, what went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stackclip.errors import BrokenPlugin, StackclipError
from stackclip.methods import Detector, Moment, Stage
from stackclip.training.lost import Lost
from stackclip.types import MASK, Features, Part, Sample, exact, in_view

__all__ = ["Trainee"]


@dataclass(eq=False)
class Trainee:
    """A method's detector in training: `epoch` epochs of its stages together are done, and `steps` steps.

    `samples` are the training pictures that it can use, `parts` what it reads of them in stages that name no others.
    `terms` has each term of the loss as it was in the `first` step that had it, and in the `last`; `curves` has the
    points of its cells by the names of their rows, of which those in `drawn` are not complete before the training is.
    It has learned all it will `stop_after` so many epochs, whatever its stages still hold.
    """

    spec: str
    detector: Detector | None = None
    samples: tuple[Sample, ...] = ()
    parts: frozenset[Part] = frozenset()
    epoch: int = 0
    steps: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    terms: dict[str, dict[str, float]] = field(default_factory=dict)
    curves: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    drawn: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    stop_after: int | None = None
    _lost: Lost = field(default_factory=Lost)
    _in_epoch: int = 0

    @property
    def working(self) -> Detector:
        """The detector of a method that has begun."""
        if self.detector is None:
            raise StackclipError(f"{self.spec} has not begun")
        return self.detector

    @property
    def epochs(self) -> int:
        """The epochs of all its stages, as far as it learns; 0 of what has not begun."""
        return sum(epochs for _, epochs in self._learned)

    @property
    def finished(self) -> bool:
        """Whether all stages are through."""
        return self.epoch >= self.epochs

    @property
    def stage(self) -> Stage:
        """The stage of the epoch that comes next."""
        return self._place[0]

    @property
    def epoch_of_stage(self) -> int:
        """The epochs of that stage that are done."""
        return self._place[1]

    @property
    def reads(self) -> frozenset[Part]:
        """The parts of the stage that comes next, in the view of its epoch; masks come with all."""
        stage, epoch = self._place
        parts = self.parts if stage.parts is None else exact(stage.parts) | (self.parts & {MASK})
        return in_view(parts, stage.view(epoch))

    @property
    def steps_an_epoch(self) -> int:
        """The steps of an epoch of this stage."""
        return self.stage.steps(len(self.samples))

    @property
    def epochs_seen(self) -> float:
        """How many epochs are done, that which is under way by its share of steps."""
        return self.epoch + (self._in_epoch / self.steps_an_epoch if self._in_epoch else 0)

    @property
    def at_end_of_epoch(self) -> bool:
        """Whether all steps of the epoch under way are taken."""
        return self._in_epoch == self.steps_an_epoch

    @property
    def total_steps(self) -> int:
        """The steps of the whole training."""
        return sum(epochs * stage.steps(len(self.samples)) for stage, epochs in self._learned)

    @property
    def _learned(self) -> list[tuple[Stage, int]]:
        """Its stages in their order, with the epochs of each that it learns."""
        found, left = list[tuple[Stage, int]](), self.stop_after
        for stage in self.detector.stages if self.detector else ():
            epochs = stage.epochs if left is None else min(stage.epochs, left)
            found.append((stage, epochs))
            left = None if left is None else left - epochs
        return found

    @property
    def _place(self) -> tuple[Stage, int]:
        """The stage of the next epoch, and the epochs of it that are done."""
        done = self.epoch
        for stage in self.working.stages:
            if done < stage.epochs:
                return stage, done
            done -= stage.epochs
        raise StackclipError(f"{self.spec} has learned all its {self.epochs} epochs")

    def learn(self, features: Features, last: bool) -> None:
        """Take one optimiser step. Raises NonFiniteScores for a loss that is no number.

        What a step lost on a device is read at the end of the epoch, and then complained of.
        """
        stage, epoch = self._place
        at = Moment(stage, epoch, epoch * self.steps_an_epoch + self._in_epoch, last)
        started = time.perf_counter()
        own = features.only(self.reads).in_view(stage.view(epoch))
        terms = self.working.step(own, at)
        if terms and "loss" not in terms:
            raise BrokenPlugin(f"its step() gave {', '.join(terms)}; wanted the loss by term, loss among them")
        self.steps, self._in_epoch = self.steps + 1, self._in_epoch + 1
        try:
            if self._lost.add(terms, len(features)) or self.at_end_of_epoch:
                for told in self._lost.read(self.epoch + 1, len(self.samples)):
                    self.terms = {
                        "first": told | self.terms.get("first", {}),
                        "last": self.terms.get("last", {}) | told,
                    }
        finally:
            self.seconds += time.perf_counter() - started  # a device is waited for where losses are read

    def draw(self, rows: Iterable[str]) -> None:
        """Draw the curves of these rows; what was drawn of others so far would stay incomplete, and is forgotten."""
        drawn = [*rows]
        left = {*self.drawn} - {*drawn}
        self.curves = {row: curve for row, curve in self.curves.items() if row not in left}
        self.drawn = drawn

    def restart(self, detector: Detector) -> None:
        """Begin again with a new detector; what was drawn is forgotten, and other curves stay."""
        self.detector, self.epoch, self.steps, self.seconds = detector, 0, 0, 0.0
        self.curves = {row: curve for row, curve in self.curves.items() if row not in self.drawn}
        self.losses, self.terms, self.drawn = [], {}, []
        self._lost, self._in_epoch = Lost(), 0

    def be_as_far_as(self, learner: Trainee) -> None:
        """Stand where one that learns the same stands, with its losses and its curves; what it learned is its own."""
        for name in ("epoch", "steps", "losses", "terms", "curves", "drawn", "seconds", "_lost", "_in_epoch"):
            setattr(self, name, getattr(learner, name))

    def as_it_is(self) -> Trainee:
        """A trainee at the same step that has not begun."""
        return replace(self, detector=None, curves={}, losses=list(self.losses))

    def end_epoch(self) -> None:
        """An epoch is over: its mean losses are kept."""
        self.losses.append(self._lost.totals)
        self.epoch, self._in_epoch, self._lost = self.epoch + 1, 0, Lost()
