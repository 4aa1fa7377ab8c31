"""Who looks at the pictures: methods that learn here from good pictures, or a detector that learned elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.seeds import OneSeed
from stackclip.benchmarks.showing import BATCH, FEW
from stackclip.benchmarks.tiles import TiledInspector
from stackclip.errors import StackclipError, WeightsError
from stackclip.inspection.bundle import Bundle
from stackclip.inspection.calibrating import Calibration, Calibrator, surveys
from stackclip.inspection.good import Division
from stackclip.methods import Detector, Inspector
from stackclip.training.checkpoints import check_fit
from stackclip.training.text import TaskEncode
from stackclip.training.trainee import Trainee
from stackclip.types import Features, Part, Sample

__all__ = ["Bundled", "Crew", "Learning"]


class Crew(Protocol):
    """Methods by their specs, each of which may have failed; `facts` are what its rows would carry."""

    @property
    def errors(self) -> Mapping[str, str]:
        """Why a method cannot take part, empty for one that can, in the order of the plan."""

    def facts(self, spec: str) -> Mapping[str, Any]:
        """What a reader of its scores should know."""

    def inspectors(self, cell: Cell, evaluations: Mapping[str, Evaluation]) -> dict[str, Inspector]:
        """What each method is for the category of a cell; an error goes into its evaluation."""

    def calibrations(self, ready: Mapping[str, Inspector]) -> Iterator[tuple[str, Calibration | StackclipError]]:
        """What each method that is ready says of good pictures, or why it says nothing."""

    def shown(self, spec: str) -> int:
        """How many good pictures the method was shown."""


class Learning:
    """Methods that learn here, and divide the good pictures where there is a calibrator for verdicts."""

    def __init__(self, run: OneSeed, calibrator: Calibrator, *, judging: bool) -> None:
        """Raises UsageError where verdicts are wanted and there are too few good pictures for them."""
        self.run, self.calibrator = run, calibrator
        self.divisions: Mapping[str, Division] = calibrator.divisions() if judging else {}
        self.trainees: Sequence[Trainee] = run.trained()

    @property
    def errors(self) -> Mapping[str, str]:
        """Why a method could not learn."""
        return {trainee.spec: trainee.error for trainee in self.trainees}

    def facts(self, spec: str) -> Mapping[str, Any]:
        """The facts of its detector."""
        return self.trainee(spec).working.facts

    def trainee(self, spec: str) -> Trainee:
        """A method that has learned."""
        return next(each for each in self.trainees if each.spec == spec)

    def inspectors(self, cell: Cell, evaluations: Mapping[str, Evaluation]) -> dict[str, Inspector]:
        """What each method is when it may be shown its share of the good pictures."""
        return replace(self.calibrator, cell=cell).inspectors(self.trainees, evaluations, self._may_see)

    def calibrations(self, ready: Mapping[str, Inspector]) -> Iterator[tuple[str, Calibration | StackclipError]]:
        """What each method says of the good pictures that it was not shown."""
        return self.calibrator.calibrations(self.trainees, self.divisions, ready if self.divisions else {})

    def shown(self, spec: str) -> int:
        """The shots that were drawn of those that it may see."""
        return len(self.shots_of(spec))

    def shots_of(self, spec: str) -> Sequence[Sample]:
        """The good pictures that a method is shown."""
        dataset = self._cell_of(spec).dataset
        return self.run.plan.shots_of(
            dataset, self.calibrator.cell.category, self.run.seed, shots=self.run.entrants[spec].shots
        )

    def bundle(self, spec: str, ready: Inspector, calibration: Calibration, about: Mapping[str, Any]) -> Bundle:
        """A method that is ready, as a file can hold it; `about` are the facts that only its maker knows.

        Raises StackclipError for one that scores no picture alone.
        """
        if surveys(ready):
            raise StackclipError(f"{spec}: its scores depend on all pictures that are scored together: no detector")
        cell, entrant, shots = self._cell_of(spec), self.run.entrants[spec], self.shots_of(spec)
        task = self.run.lessons.task(entrant)
        normals = self.run.plan.normals_of(cell.dataset, cell.category, shots) if entrant.reads("calibrate") else ()
        means = _Means(self.run.lessons.mean_of(spec))
        entrant.method.begin(replace(task, encode=TaskEncode(self.run.bench.encode, means)))
        kept = ("categories", "train_on", "seed", "epochs", "class_names", "shots", "pictures", "batch_size")
        return Bundle(
            method=spec,
            object=cell.category,
            fingerprint=self.run.bench.tower.fingerprint,
            task={name: getattr(task, name) for name in kept},
            tiles=self.run.plan.tiles,
            learned=self.trainee(spec).working.state_dict(),
            means=means.found,
            shots=self._read(shots, entrant.reads("shots"), len(shots) if len(shots) <= FEW else BATCH),
            normals=self._read(normals, entrant.reads("calibrate"), BATCH),
            calibration=calibration,
            **about,
        )

    def _may_see(self, spec: str) -> Sequence[Sample]:
        good = self.calibrator.cell.dataset.select(split="train").samples
        return self.divisions[spec].shown if spec in self.divisions else good

    def _cell_of(self, spec: str) -> Cell:
        return self.calibrator.with_good(self._may_see(spec))

    def _read(self, samples: Sequence[Sample], parts: frozenset[Part], size: int) -> list[Features]:
        """The batches that a method is shown, in memory of their own."""
        if not samples or not parts:
            return []
        showing, plan = self.run.testing.showing, self.run.plan
        whole = plan.tiling is None and size != BATCH
        with closing(
            self.run.reader.batches(samples, parts, size=size) if whole else showing.stream(samples, parts)
        ) as stream:
            return [
                Features(each.samples, {part: t.cpu().clone() for part, t in each.parts.items()}) for each in stream
            ]


@dataclass(frozen=True)
class _Means:
    """Means of training categories, of which those that were asked for are remembered."""

    of: Callable[[str], Tensor]
    found: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, category: str) -> Tensor:
        if category not in self.found:
            self.found[category] = self.of(category)
        return self.found[category]


@dataclass(frozen=True)
class Bundled:
    """A detector that learned elsewhere. Raises WeightsError where it does not fit what is installed here."""

    run: OneSeed
    bundle: Bundle

    @property
    def errors(self) -> Mapping[str, str]:
        """None: it has learned."""
        return {self.bundle.method: ""}

    def facts(self, spec: str) -> Mapping[str, Any]:
        """The facts of the detector."""
        return self._detector.facts

    def inspectors(self, cell: Cell, evaluations: Mapping[str, Evaluation]) -> dict[str, Inspector]:
        """What it was when it was saved; it is made once for all batches of pictures."""
        device, [(spec, evaluation)] = self.run.bench.tower.device, evaluations.items()
        if str(device) not in self.bundle.ready:
            inspector = self.run.failures.attempt(evaluation, self._inspector, device)
            if inspector is None:
                return {}
            self.bundle.ready[str(device)] = inspector
        return {spec: self.bundle.ready[str(device)]}

    def _inspector(self, device: torch.device) -> Inspector:
        shots, normals = (
            (_on(features, device) for features in stream) for stream in (self.bundle.shots, self.bundle.normals)
        )
        inspector, tiling = self._detector.on(self.bundle.object, shots, normals), self.run.plan.tiling
        return TiledInspector(inspector, tiling, self.run.bench.tower.spec) if tiling else inspector

    def calibrations(self, ready: Mapping[str, Inspector]) -> Iterator[tuple[str, Calibration | StackclipError]]:
        """What it said of good pictures."""
        yield from ((spec, self.bundle.calibration) for spec in ready)

    def shown(self, spec: str) -> int:
        """How many good pictures it was shown."""
        return sum(map(len, self.bundle.shots))

    @cached_property
    def _detector(self) -> Detector:
        [entrant] = self.run.entrants.values()
        if entrant.why_not:
            raise entrant.why_not
        task = self.run.lessons.task(entrant)
        kept: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in self.bundle.task.items()
        }
        encode = TaskEncode(self.run.bench.encode, self.bundle.means.__getitem__)
        detector = entrant.method.begin(replace(task, **kept, encode=encode))
        try:
            check_fit(detector.state_dict(), self.bundle.learned)
            detector.load_state_dict(self.bundle.learned)
        except Exception as error:
            why = f"{self.bundle.method} of another version of stackclip or of its component"
            raise WeightsError(f"the detector was made by {why} ({error}): fit it again") from error
        return detector


def _on(features: Features, device: torch.device) -> Features:
    return Features(features.samples, {part: each.to(device) for part, each in features.parts.items()})
