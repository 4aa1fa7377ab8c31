"""Methods are shown normal pictures of a category, its shots and what they calibrate by, and survey its tested ones."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.benchmarks.tiles import TiledInspector, in_tiles, pictures_at_once
from stackclip.errors import BrokenPlugin, NonFiniteScores, NotApplicable
from stackclip.methods import Inspector, Phase
from stackclip.training.failures import Failures
from stackclip.training.sources import FeatureReader
from stackclip.training.trainee import Trainee
from stackclip.types import Features, Part, Sample, TowerSpec

__all__ = ["BATCH", "Showing", "parts_of"]

BATCH = 8  # tested pictures at a time, unless a plan says
FEW = 32  # shots that are read at once for all methods; more are streamed to each


@dataclass(frozen=True)
class Showing:
    """Makes inspectors of methods that have learned, for one seed of a plan.

    Where the plan has tiles each tile of a shot is a shot, and of a surveyed picture a picture.
    """

    plan: Plan
    seed: int
    tower: TowerSpec
    reader: FeatureReader
    entrants: Mapping[str, Entrant]
    failures: Failures

    def shots(self, cell: Cell, evaluations: Mapping[str, Evaluation]) -> dict[str, Sequence[Sample]]:
        """The shots of a category that each method is shown; where there are too few that is its error."""
        drawn: dict[str, Sequence[Sample]] = {}
        for spec, evaluation in evaluations.items():
            drawn[spec], asked = (), self.entrants[spec].shots
            try:
                drawn[spec] = self.plan.shots_of(cell.dataset, cell.category, self.seed, shots=asked)
            except NotApplicable as error:
                self.failures.blame([evaluation], error)
        return drawn

    def inspectors(
        self,
        cell: Cell,
        trainees: Sequence[Trainee],
        evaluations: Mapping[str, Evaluation],
        shots: Mapping[str, Sequence[Sample]],
    ) -> dict[str, Inspector]:
        """What each method is for a category, once it has seen its shots and has surveyed what is tested, if it does.

        Those without an error alone.
        """
        found: dict[str, Inspector] = {}
        for asked in dict.fromkeys(self.entrants[t.spec].shots for t in trainees):
            alike = [t for t in trainees if self.entrants[t.spec].shots == asked and not evaluations[t.spec].error]
            with closing(self._shown(alike, evaluations, shots)) as showing:
                for batches, trainee in showing:
                    with closing(batches), closing(self._normals(cell, trainee, shots[trainee.spec])) as normals:
                        arguments = (trainee, cell.category, batches, normals)
                        inspector = self.failures.attempt(evaluations[trainee.spec], _inspector, *arguments)
                    if inspector is not None:
                        found[trainee.spec] = inspector
        for spec, inspector in found.items():
            if parts := self.entrants[spec].reads("survey"):
                self.failures.attempt(evaluations[spec], self._survey, cell, inspector, parts, evaluations[spec])
        tiling = self.plan.tiling
        return {spec: TiledInspector(each, tiling, self.tower) for spec, each in found.items()} if tiling else found

    def _survey(self, cell: Cell, inspector: Inspector, parts: frozenset[Part], evaluation: Evaluation) -> None:
        """Let a transductive method see all tested pictures as often as it asks; the time counts."""
        started = time.perf_counter()
        with ExitStack() as opened:
            inspector.survey(lambda: opened.enter_context(closing(self.stream(cell.samples, parts))))
        evaluation.seconds += time.perf_counter() - started

    def _shown(
        self,
        trainees: Sequence[Trainee],
        evaluations: Mapping[str, Evaluation],
        shots: Mapping[str, Sequence[Sample]],
    ) -> Generator[tuple[Generator[Features], Trainee]]:
        """Each method with the stream of its shots: a few are read once for all, many by each as it takes them."""
        drawn = shots[trainees[0].spec] if trainees else ()
        if not drawn:
            yield from ((_given(), trainee) for trainee in trainees)
        elif len(drawn) <= FEW and self.plan.tiling is None:
            parts = parts_of(self.entrants, [t.spec for t in trainees], "shots")
            owners = [evaluations[t.spec] for t in trainees]
            reading = self.failures.reading(owners, lambda: self.reader.batches(drawn, parts, size=len(drawn)))
            with closing(reading) as whole:
                for features in whole:
                    for trainee in trainees:
                        own = features.only(self.entrants[trainee.spec].reads("shots"))
                        yield _finite(_given(own)), trainee
        else:
            for trainee in trainees:
                yield self.stream(drawn, self.entrants[trainee.spec].reads("shots")), trainee

    def _normals(self, cell: Cell, trainee: Trainee, shots: Sequence[Sample]) -> Generator[Features]:
        """The stream of further normal pictures, for who reads any."""
        parts = self.entrants[trainee.spec].reads("calibrate")
        if not parts:
            return _given()
        normals = self.plan.normals_of(cell.dataset, cell.category, shots)
        return self.stream(normals, parts)

    def stream(self, samples: Sequence[Sample], parts: frozenset[Part]) -> Generator[Features]:
        """The features of good or surveyed pictures as a method is given them, in tiles where the plan has some.

        Raises NonFiniteScores for NaN and infinity in them.
        """
        tiling, size = self.plan.tiling, self.plan.batch_size or BATCH
        stream = _finite(self.reader.batches(samples, parts, size=pictures_at_once(size, tiling)))
        return in_tiles(stream, tiling) if tiling else stream


def _finite(batches: Generator[Features]) -> Generator[Features]:
    """Batches that are remembered; raises NonFiniteScores for NaN and infinity in them, which would pass unnoticed.

    Of a bank with such a vector the nearest may well be another, and every score a number.
    """
    with closing(batches):
        for features in batches:
            for part, tensor in features.parts.items():
                if tensor.sum().isfinite():  # as it is only where all are
                    continue
                wrong = ~tensor.isfinite().flatten(1).all(1)
                if wrong.any():
                    key = features.samples[int(wrong.int().argmax())].key
                    raise NonFiniteScores(f"{part} of {key}, which it is shown, holds NaN or infinity: encode it again")
            yield features


def parts_of(entrants: Mapping[str, Entrant], specs: Iterable[str], phase: Phase) -> frozenset[Part]:
    """What some methods read together in a phase."""
    return frozenset[Part]().union(*(entrants[spec].reads(phase) for spec in specs))


def _given(*batches: Features) -> Generator[Features]:
    """A stream of batches that are there."""
    yield from batches


def _inspector(trainee: Trainee, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
    inspector = trainee.working.on(category, shots, normals)
    if not all(hasattr(inspector, name) for name in ("predict", "settle", "calibrated")):
        raise BrokenPlugin(f"its on() gave {type(inspector).__name__}; wanted an Inspector")
    return inspector
