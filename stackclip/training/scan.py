"""One scan teaches many: the training pictures are read once an epoch, and each method is given batches of its size.

Batches do not depend on which methods take part, so a method that trains alone, together with others or after an
interruption sees the same: the order of an epoch is drawn over all training pictures, each method leaves out those that
it cannot use, and the common stream is cut to its own batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
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
    """What methods are taught by: pictures from a source, in an order of their own in each epoch."""

    source: FeatureSource
    pictures: Sequence[Sample]
    seed: int
    failures: Failures
    progress: Callable[[int, int], None] = lambda done, total: None

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
        epoch, total = active[0].epoch, max(trainee.epochs for trainee in learning) * len(self.pictures)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.pictures))
        groups: dict[int, list[Trainee]] = {}
        for trainee in active:
            groups.setdefault(id(trainee.samples), []).append(trainee)
        for alike in groups.values():
            usable = frozenset(alike[0].samples)
            shuffled = [sample for index in order if (sample := self.pictures[index]) in usable]
            done = epoch * len(self.pictures) + len(self.pictures) - len(shuffled)
            self._read(shuffled, alike, watch, done, total)
        for trainee in active:
            if not trainee.error:
                trainee.end_epoch()
                watch.epoch_done(trainee)

    def _read(
        self, shuffled: Sequence[Sample], trainees: Sequence[Trainee], watch: Watch, done: int, total: int
    ) -> None:
        """Read pictures in order and teach by them; `done` of `total` were read before."""
        cuts = {trainee.spec: Cut(trainee.stage.batch, len(shuffled)) for trainee in trainees}
        parts = frozenset[Part]().union(*(trainee.reads for trainee in trainees))
        size = max(trainee.stage.batch for trainee in trainees)
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
                self.progress(done, total)
