"""One scan teaches many: the training pictures are read once an epoch, and each method is given batches of its size.

Batches do not depend on which methods take part, so a method that trains alone, together with others or after an
interruption sees the same: the order of an epoch is drawn over all training pictures, each method leaves out those that
it cannot use, and the common stream is cut to its own batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from stackclip.training.cut import Cut
from stackclip.training.failures import Failures
from stackclip.training.sources import FeatureSource
from stackclip.training.trainee import Trainee
from stackclip.types import Part, Sample

__all__ = ["Training", "Watch"]


class Watch(Protocol):
    """Told of what happens in a training."""

    def stepped(self, trainee: Trainee) -> None:
        """A method took a step."""

    def batch_done(self) -> None:
        """All methods have taken the steps that a batch of the common stream brought."""

    def epoch_done(self, trainee: Trainee) -> None:
        """A method is through with an epoch."""


class NoWatch:
    """Nobody is told."""

    def stepped(self, trainee: Trainee) -> None:
        """Say nothing."""

    def batch_done(self) -> None:
        """Say nothing."""

    def epoch_done(self, trainee: Trainee) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Training:
    """What methods are taught by: pictures from a source, in an order of their own in each epoch.

    `progress` is told the stage, how many pictures were read, of how many. It is the stage of a training with several
    where only such are under way, all in that one: it has a pace of its own, and so a time left of its own. Else it is
    empty, and the whole training is told.
    """

    source: FeatureSource
    pictures: Sequence[Sample]
    seed: int
    failures: Failures
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None

    def teach(self, trainees: Iterable[Trainee], watch: Watch | None = None) -> None:
        """Train methods to their ends; those that are at the same epoch read it together."""
        watch = watch or NoWatch()
        learning = [trainee for trainee in trainees if not trainee.finished and not trainee.error]
        while learning:
            epoch = min(trainee.epoch for trainee in learning)
            self._epoch([trainee for trainee in learning if trainee.epoch == epoch], learning, watch)
            learning = [trainee for trainee in learning if not trainee.finished and not trainee.error]

    def _epoch(self, active: Sequence[Trainee], learning: Sequence[Trainee], watch: Watch) -> None:
        """One epoch: one reading for all who can use the same pictures, which are nearly always all."""
        epoch = active[0].epoch
        stage, epochs_done, epochs = _told(active, learning)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pictures))
        groups: dict[int, list[Trainee]] = {}
        for trainee in active:
            groups.setdefault(id(trainee.samples), []).append(trainee)
        for alike in groups.values():
            usable = frozenset(alike[0].samples)
            shuffled = [sample for index in order if (sample := self.pictures[index]) in usable]
            done = (epochs_done + 1) * len(self.pictures) - len(shuffled)
            self._read(shuffled, alike, watch, partial(self._tell, stage, epochs * len(self.pictures), done))
        for trainee in active:
            if not trainee.error:
                trainee.end_epoch()
                watch.epoch_done(trainee)

    def _tell(self, stage: str, total: int, before: int, read: int) -> None:
        self.progress(stage, before + read, total)

    def _read(
        self, shuffled: Sequence[Sample], trainees: Sequence[Trainee], watch: Watch, tell: Callable[[int], None]
    ) -> None:
        """Read pictures in order and teach by them; `tell` is told how many were read."""
        cuts = {trainee.spec: Cut(trainee.stage.batch, len(shuffled)) for trainee in trainees}
        parts = frozenset[Part]().union(*(trainee.reads for trainee in trainees))
        size = max(trainee.stage.batch for trainee in trainees)
        done = 0
        reading = self.failures.reading(trainees, lambda: self.source.batches(shuffled, parts, size=size))
        with closing(reading) as stream:
            for features in stream:
                for trainee in trainees:
                    for batch, last in cuts[trainee.spec].batches(features):
                        self.failures.attempt(trainee, trainee.learn, batch, last)
                        if not trainee.error:
                            watch.stepped(trainee)
                watch.batch_done()
                done += len(features)
                tell(done)


def _told(active: Sequence[Trainee], learning: Sequence[Trainee]) -> tuple[str, int, int]:
    """The stage that listeners are told of, how many of its epochs are done, and of how many."""
    places = {(each.stage.name, each.epoch_of_stage, each.stage.epochs) for each in active}
    if len(places) == 1 and all(len(each.working.stages) > 1 for each in active) and len(active) == len(learning):
        return places.pop()
    return "", active[0].epoch, max(trainee.epochs for trainee in learning)
