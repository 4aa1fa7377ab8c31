"""Tested pictures are read once and predicted by every method: what each is worth on one category."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from stackclip.benchmarks.breakdown import Breakdown, defects_of
from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.equal_maps import EqualMaps
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.benchmarks.saturation import Native, Saturation, read_native
from stackclip.benchmarks.savings import Savings
from stackclip.benchmarks.showing import BATCH, Showing
from stackclip.benchmarks.tiles import pictures_at_once
from stackclip.benchmarks.truth import fpr_limits, runs_of
from stackclip.cache import Store
from stackclip.errors import StackclipError
from stackclip.methods import Inspector
from stackclip.metrics import TOLERANCE, Form, Measured, PixelMetricsByKind, pixel_metrics
from stackclip.metrics.counts import PixelCounter
from stackclip.ops.progress import Listener, silent
from stackclip.ops.small_maps import Looked
from stackclip.training.failures import Failures
from stackclip.training.sources import FeatureReader
from stackclip.training.trainee import Trainee
from stackclip.types import MASK, Features, Part, Sample, TowerSpec

__all__ = ["Tested", "Testing"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tested:
    """What a method is worth on one category, the shots that it was shown, and what it calibrated by others."""

    evaluation: Evaluation
    measured: Measured | None
    shots: Sequence[Sample] = ()
    calibrated: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Testing:
    """Tests methods that have learned, by the pictures of a store, for one seed of a plan."""

    plan: Plan
    seed: int
    tower: TowerSpec
    store: Store
    reader: FeatureReader
    entrants: Mapping[str, Entrant]
    failures: Failures
    progress: Listener = silent
    savings: Savings = field(default_factory=Savings)

    def evaluate(self, cell: Cell, trainees: Sequence[Trainee], *, aloud: bool = True) -> dict[str, Tested]:
        """What each method is worth on one category; without `aloud` nobody is told, and no evidence is counted."""
        progress = self.progress if aloud else silent
        empty = partial(self._empty, cell, lru_cache(BATCH)(read_native), aloud=aloud)
        form = self.plan.pixel_form(cell, self.tower)
        evaluations = {t.spec: empty(form, error=t.error) for t in trainees}
        shots = self.showing.shots(cell, evaluations)
        inspectors = self.showing.inspectors(cell, trainees, evaluations, shots)
        measured = self._measure(cell, inspectors, evaluations, progress)
        if aloud:
            self.savings.count(evaluations.values())
        unsure = {spec: found for spec, found in measured.items() if found and found.bound > TOLERANCE}
        again = {spec: empty("exact", seconds=evaluations[spec].seconds) for spec in unsure}
        if unsure and aloud:
            logger.info(
                "%s %s: streamed pixel metrics of %s may be off by more than %.0e; predicting once more, exactly",
                cell.dataset.name,
                cell.category,
                ", ".join(again),
                TOLERANCE,
            )
        for spec, exact in self._measure(cell, inspectors, again, progress).items():
            measured[spec] = replace(exact, refused=unsure[spec].bound) if exact else exact
        for evaluation in (*evaluations.values(), *again.values()):
            evaluation.equal = None  # which knows all the others, and what they hold
        calibrated = {spec: each.calibrated for spec, each in inspectors.items()}
        return {
            spec: Tested(evaluation, measured[spec], shots[spec], calibrated.get(spec, {}))
            for spec, evaluation in (evaluations | again).items()
        }

    @property
    def showing(self) -> Showing:
        """What shows the methods their shots."""
        return Showing(self.plan, self.seed, self.tower, self.reader, self.entrants, self.failures)

    def scan(
        self,
        samples: Sequence[Sample],
        inspectors: Mapping[str, Inspector],
        evaluations: Mapping[str, Evaluation],
        progress: Callable[[int, int], None],
        *,
        without_mask: Collection[Sample] = (),
    ) -> None:
        """Predict samples with some methods from the same batches, each into its evaluation."""
        working = {spec: each for spec, each in evaluations.items() if spec in inspectors and not each.error}
        reads, done = {spec: self.entrants[spec].reads("test") - {MASK} for spec in working}, 0
        parts = frozenset[Part]().union(*reads.values())
        with closing(self._with_runs(samples if working else (), parts, working.values(), without_mask)) as stream:
            for features, runs in stream:
                for spec, evaluation in working.items():
                    own = features.only(reads[spec])
                    self.failures.attempt(evaluation, evaluation.predict, inspectors[spec], own, runs)
                done += len(features)
                progress(done, len(samples))

    def _measure(
        self, cell: Cell, inspectors: Mapping[str, Inspector], evaluations: Mapping[str, Evaluation], progress: Listener
    ) -> dict[str, Measured | None]:
        """Predict one category with some methods from the same batches; the metrics of those that went well."""
        stage = f"test {cell.dataset.name} {cell.category}, seed {self.seed}"
        equal = EqualMaps()
        for evaluation in evaluations.values():
            evaluation.equal = equal
        self.scan(cell.samples, inspectors, evaluations, partial(progress, stage), without_mask=cell.without_mask)
        equal.settle()
        return {
            spec: self.failures.attempt(evaluation, evaluation.measure, inspectors.get(spec), cell.samples)
            for spec, evaluation in evaluations.items()
        }

    def _empty(
        self,
        cell: Cell,
        read: Callable[[Sample], Native],
        form: Form,
        *,
        aloud: bool,
        error: str = "",
        seconds: float = 0.0,
    ) -> Evaluation:
        """An evaluation of maps of the tower's pictures; `aloud` it can tell its pictures and their kinds apart.

        `read` gives what is to be known of pictures at their own size, once for all methods.
        """
        plan, breakdown = self.plan, Breakdown()
        if aloud:
            kinds = PixelMetricsByKind(form, defects_of(cell.samples)) if plan.per_defect else None
            breakdown = Breakdown(kinds, Saturation.of(cell.samples, read, plan.metrics))
        return Evaluation(
            side=self.plan.map_side(self.tower),
            pixels=pixel_metrics(form, fpr_limits(cell.dataset)),
            counter=PixelCounter() if plan.ci and aloud else None,
            breakdown=breakdown,
            looked=Looked(self.plan.map_side(self.tower)) if aloud else None,
            error=error,
            seconds=seconds,
        )

    def _with_runs(
        self,
        samples: Sequence[Sample],
        parts: frozenset[Part],
        owners: Collection[Evaluation],
        without_mask: Collection[Sample],
    ) -> Generator[tuple[Features, list[np.ndarray | None]]]:
        """The batches of a scan with the runs of each mask; None for one that cannot be used."""
        without = frozenset(without_mask)
        if not samples:
            return
        size = pictures_at_once(self.plan.batch_size or BATCH, self.plan.tiling)
        with closing(self.failures.reading(owners, lambda: self.reader.batches(samples, parts, size=size))) as stream:
            for features in stream:
                try:
                    runs = [
                        None if sample in without else runs_of(self.plan, self.store, sample)
                        for sample in features.samples
                    ]
                except StackclipError as error:
                    self.failures.blame(owners, error)
                    return
                yield features, runs
