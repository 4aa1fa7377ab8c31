"""The points of training curves, taken while methods learn: training does not feel it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from stackclip.benchmarks.curves import EvalEvery, point
from stackclip.benchmarks.followers import Followers, catch_up
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.testing import Tested
from stackclip.methods import Detector
from stackclip.ops.draws import same_draws_after
from stackclip.training.failures import Failures
from stackclip.training.trainee import Trainee

__all__ = ["CurveWatch"]

Evaluate = Callable[[Cell, list[Trainee]], Mapping[str, Tested]]
"""Tests methods on a cell without a word: what each was worth, by its spec."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A method in training, what it would be if that ended at this step, and the step and epoch."""

    learner: Trainee
    stopped: Trainee
    step: int
    epoch: float


@dataclass
class CurveWatch:
    """Adds to the curves what a method would be worth if it stopped at a step.

    `wanted` are the cells of each method that get points, with the names of their rows. A detector of its own (`begin`)
    takes what was learned so far; those of one batch of the common stream are tested together. `keep` is called at the
    end of each epoch.
    """

    every: EvalEvery | None
    wanted: Mapping[str, Mapping[Cell, str]]
    followers: Followers
    begin: Callable[[Trainee], Detector]
    evaluate: Evaluate
    keep: Callable[[Trainee], None]
    failures: Failures
    progress: Callable[[int, int], None]
    device: torch.device
    _taken: list[_Taken] = field(default_factory=list)

    def stepped(self, trainee: Trainee) -> None:
        """Take a method as it is now where it has a point here, and those that learn by it."""
        if not self.every or not self._due(trainee):
            return
        for each in self.followers.with_(trainee):
            if self.wanted.get(each.spec):
                with same_draws_after(self.device):
                    taken = _Taken(each, self._as_it_is(each, trainee), trainee.steps, trainee.epochs_seen)
                self._taken.append(taken)

    def batch_done(self) -> None:
        """Test those that were taken, and add their points."""
        while self._taken:  # a large common batch may bring two points of one method: the earlier one first
            first = {taken.learner.spec: taken for taken in reversed(self._taken)}
            self._taken = [taken for taken in self._taken if taken is not first[taken.learner.spec]]
            self._add(first)

    def epoch_done(self, trainee: Trainee) -> None:
        """Keep what a method has learned by now, for all that learn by it."""
        self.failures.attempt(trainee, catch_up, trainee)
        self.followers.with_(trainee)
        self.keep(trainee)

    def _add(self, taken: Mapping[str, _Taken]) -> None:
        with same_draws_after(self.device):
            for cell in dict.fromkeys(cell for spec in taken for cell in self.wanted[spec]):
                stopped = [each.stopped for spec, each in taken.items() if cell in self.wanted[spec]]
                for spec, tested in self.evaluate(cell, stopped).items():
                    each, row = taken[spec], self.wanted[spec][cell]
                    found = point(each.step, each.epoch, tested.measured, tested.evaluation.error)
                    each.learner.curves.setdefault(row, []).append(found)
        last = max(each.learner.total_steps for each in taken.values())
        self.progress(max(each.step for each in taken.values()), last)

    def _due(self, trainee: Trainee) -> bool:
        if trainee.steps == trainee.total_steps:
            return True
        return trainee.at_end_of_epoch if self.every == "epoch" else trainee.steps % int(self.every or 1) == 0

    def _as_it_is(self, trainee: Trainee, learner: Trainee) -> Trainee:
        """A method as a later run would find it if the training that it learns by ended now."""

        def learn() -> Detector:
            detector = self.begin(trainee)
            learned = learner.working.state_dict()
            detector.load_state_dict({name: tensor.detach().clone() for name, tensor in learned.items()})
            return detector

        stopped = trainee.as_it_is()
        stopped.detector = self.failures.attempt(stopped, learn)
        return stopped
