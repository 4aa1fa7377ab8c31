"""What earlier benches left: rows that are finished, methods that have learned, trainings that were stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackclip.benchmarks.breakdown import has_kinds
from stackclip.benchmarks.curves import has_curve
from stackclip.benchmarks.identity import Identities
from stackclip.benchmarks.intervals import has_draws
from stackclip.benchmarks.keeping import Keeper
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.benchmarks.sidecars import CellPictures
from stackclip.heads import TrainedHead
from stackclip.methods import Detector
from stackclip.training.checkpoints import checkpoint_of, resume
from stackclip.training.trainee import Trainee
from stackclip.types import Row

__all__ = ["MethodRows", "Resume"]

logger = logging.getLogger(__name__)


@dataclass
class MethodRows:
    """The rows of a method: those that are finished by cell, those that lack what is asked now, and lacking cells."""

    finished: dict[Cell, Row] = field(default_factory=dict)
    earlier: dict[Cell, Row] = field(default_factory=dict)
    lacking: list[Cell] = field(default_factory=list)


@dataclass(frozen=True)
class Resume:
    """Finds and keeps what the methods of one seed have learned and what they were worth.

    With `anew` nothing that is there counts; with `only_stored` a row is as good as it is.
    """

    plan: Plan
    keeper: Keeper
    identities: Identities
    facts: Mapping[str, Any]
    anew: bool = False
    only_stored: bool = False

    def rows_of(self, spec: str, cells: Sequence[Cell], tested: Callable[[Cell], Mapping[str, str]]) -> MethodRows:
        """What there is of a method's cells; `tested` are the digests of a cell's data set by category."""
        found = MethodRows()
        every, ci = (None, False) if self.only_stored else (self.plan.eval_every, self.plan.ci)
        by_defect = self.plan.per_defect and not self.only_stored
        for cell in cells:
            adopt = not self.anew and not self.only_stored
            row = self.keeper.find_row(self.identities.row(spec, cell), cell.place, tested(cell), adopt=adopt)
            if row is None or self.anew:
                found.lacking.append(cell)
            elif not has_curve(row, every) or (ci and not has_draws(row)) or (by_defect and not has_kinds(row)):
                found.lacking.append(cell)
                found.earlier[cell] = row
            else:
                found.finished[cell] = row
        return found

    def keep_row(
        self, trainee: Trainee, cell: Cell, row: Row, tested: Mapping[str, str], pictures: CellPictures | None
    ) -> None:
        """Keep a row on disk, with what was said of single pictures, unless it failed, which is told."""
        if row.error:
            self.say_failed(row)
        else:
            name, seen = self.identities.row(trainee.spec, cell), {cell.place: dict(tested)}
            self.keeper.keep_row(name, row, seen, pictures)

    def say_failed(self, row: Row) -> None:
        """Say why there is no figure in a row, unless nothing was to be computed."""
        if not self.only_stored:
            logger.warning("%s on %s %s: %s", row.method, row.test_on, row.category, row.error)

    def without_curve(self, trainee: Trainee, cells: Sequence[Cell]) -> dict[Cell, str]:
        """The cells whose curve is asked for and not complete, with the names of their rows."""
        if not self.plan.eval_every:
            return {}
        named = {cell: self.identities.row(trainee.spec, cell) for cell in cells}
        return {cell: row for cell, row in named.items() if row not in trainee.curves or row in trainee.drawn}

    def teach(self, trainee: Trainee, cells: Sequence[Cell], begin: Callable[[], Detector]) -> None:
        """Give a new detector what it learned before, or go on where its training stopped.

        What is half taught is begun again. A training without the curves that are asked for does not count.
        """
        trainee.detector = begin()
        if self.anew or not trainee.epochs:
            return
        name, earlier = self.identities.head(trainee.spec), self.identities.earlier_head(trainee.spec)
        for each in dict.fromkeys((name, earlier)):
            head = self.keeper.find_head(each, fingerprint=self.facts["fingerprint"])
            if head is not None and self._has_points(trainee, head.facts, cells):
                if self.keeper.teach(trainee.working, each, head):
                    _take(trainee, head)
                    return
                trainee.detector = begin()
        checkpoint = self.keeper.find_checkpoint(name, fingerprint=self.facts["fingerprint"])
        if checkpoint is None or checkpoint.facts.get("eval_every") != self.plan.eval_every:
            return
        taken_up = self.keeper.take_up(name, lambda: resume(trainee, checkpoint))
        if not taken_up or not {*self.without_curve(trainee, cells).values()} <= {*trainee.drawn}:
            trainee.restart(begin())
            return
        logger.info("%s: its training goes on after epoch %d of %d", trainee.spec, trainee.epoch, trainee.epochs)

    def keep(self, trainee: Trainee, learning: Sequence[Trainee]) -> None:
        """Write what a method has learned, so that an interrupted bench need not learn it again.

        The curves of all that learn the same, and are as far, stand in a head that is through.
        """
        name = self.identities.head(trainee.spec)
        facts = {**self.facts, "method": trainee.spec, "training": self.identities.of_training(trainee.spec)}
        if self.plan.eval_every:
            facts["eval_every"] = self.plan.eval_every
        if not trainee.finished:
            self.keeper.keep_checkpoint(name, lambda: checkpoint_of(trainee, facts))
            return
        facts |= {"losses": trainee.losses, "steps": trainee.terms, "seconds": round(trainee.seconds, 3)}
        if self.plan.eval_every:
            there = (each for each in learning if each.steps == trainee.steps)
            alike = (each for each in there if self.identities.head(each.spec) == name)
            facts["curves"] = {row: curve for each in alike for row, curve in each.curves.items()}
        self.keeper.keep_head(name, TrainedHead(trainee.working.state_dict(), facts))

    def _has_points(self, trainee: Trainee, facts: Mapping[str, Any], cells: Sequence[Cell]) -> bool:
        """Whether what was learned brings the curves that are asked for; it takes those that are there."""
        if facts.get("eval_every") == self.plan.eval_every:
            trainee.curves = dict(facts.get("curves", {}))
        return not self.without_curve(trainee, cells)


def _take(trainee: Trainee, head: TrainedHead) -> None:
    """A method that has learned all it can."""
    trainee.losses, trainee.seconds = list(head.facts["losses"]), head.facts["seconds"]
    trainee.terms = dict(head.facts.get("steps", {}))
    trainee.steps, trainee.epoch = trainee.total_steps, trainee.epochs
