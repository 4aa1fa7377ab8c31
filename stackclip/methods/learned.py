"""A prompt learner at work beside a head: what goes wrong with it takes the image scores, never the maps."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from stackclip.errors import NonFiniteScores
from stackclip.learners import Learner, LearnerRecipe, Lesson
from stackclip.methods.method import Moment, Task, Terms
from stackclip.methods.pieces import Schooling
from stackclip.methods.schedule import BETAS, descend, schedule_of
from stackclip.ops.digests import digest_of
from stackclip.registry import reason
from stackclip.types import Features

__all__ = ["LearnedScores"]

logger = logging.getLogger(__name__)


class LearnedScores:
    """The image scores of a learner that is built for a lesson, trained by Adam for the recipe's epochs or the task's.

    `called` is the recipe's spec in one spelling, `batch` how many pictures a step brings. With `spare`, whatever the
    learner raises is kept as `why_not` and said once, for there are maps to go on with; without it the error passes.
    """

    def __init__(
        self,
        recipe: LearnerRecipe,
        task: Task,
        lesson: Callable[[LearnerRecipe], Lesson],
        *,
        called: str,
        batch: int,
        spare: bool,
    ) -> None:
        self.spare, self.why_not = spare, ""
        self.schooling, self._called, self._lesson = Schooling(), called, cast("Lesson | None", None)
        self.learner: Learner | None = None
        self.epochs, self.schedule = 0, dict[str, Any]()
        self._optimiser: torch.optim.Optimizer | None = None
        with self._spared("learner"):
            self._lesson = lesson(recipe)
            self.learner = cast(Learner, recipe.build(self._lesson).to(task.device))
            stage = task.stage("learner", epochs=recipe.epochs, batch=batch)
            self.epochs, self.schedule = stage.epochs, schedule_of(task, stage, lr=recipe.lr)
            self._optimiser = torch.optim.Adam(self.learner.parameters(), lr=recipe.lr, betas=BETAS)

    @property
    def facts(self) -> Mapping[str, Any] | None:
        """What a reader of its rows should know; None where there is no learner at work."""
        return {**self.learner.facts, "epochs": self.epochs} if self.learner else None

    def step(self, features: Features, at: Moment) -> Terms:
        """One Adam step: the loss by term; nothing once the learner is through, or failed."""
        return {} if at.epoch >= self.epochs else self.schooling.step(at, lambda: self._step(features, at.epoch))

    def lesson(self) -> Hashable:
        """The learner, the words that it begins as and is held to, and the schedule."""
        if self._lesson is None:
            return id(self)
        return self._called, self._lesson.subject, digest_of(self._lesson.anchors), self.epochs, self.spare

    def take(self, other: LearnedScores) -> None:
        """Become as another whose lesson was the same."""
        if self.learner is not None and other.learner is not None:
            cast(nn.Module, self.learner).load_state_dict(cast(nn.Module, other.learner).state_dict())
        self.load_training_state(copy.deepcopy(other.training_state()))

    def _step(self, features: Features, epoch: int) -> Terms:
        if self.learner is None or self._optimiser is None or self.why_not:
            return {}
        with self._spared(f"learner, epoch {epoch + 1} of training"):
            terms = descend(self._optimiser, self.learner.loss(features))
            for name, value in terms.items():
                if not math.isfinite(value):
                    raise NonFiniteScores(f"{name} is {value}")
            return terms
        return {}

    def scores(self, features: Features) -> tuple[Tensor | None, str]:
        """The scores (B,) of a batch, or why it has none."""
        if self.why_not or self.learner is None:
            return None, self.why_not
        try:
            scores = self.learner.scores(features)
            if self.spare and not torch.compiler.is_exporting() and not scores.isfinite().all():
                raise NonFiniteScores("scores hold NaN or infinity")
        except Exception as error:
            if not self.spare:
                raise
            return None, _reason("learner", error)
        return scores, ""

    def training_state(self) -> dict[str, Any]:
        """The optimiser, and why there are no scores."""
        return {"optimiser": self._optimiser.state_dict() if self._optimiser else {}, "why_not": self.why_not}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take what `training_state` gave."""
        self.why_not = state["why_not"]
        if self._optimiser is not None:
            self._optimiser.load_state_dict(state["optimiser"])

    @contextmanager
    def _spared(self, where: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self.spare:
                raise
            self.why_not = _reason(where, error)
            logger.warning("%s; maps go on without image scores", self.why_not)


def _reason(where: str, error: Exception) -> str:
    """An error in one line that begins with the place."""
    line = reason(error)
    return line if line.startswith("learner") else f"{where}: {line}"
