"""What a method says of good pictures that it was not shown, and what that says of a tested one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.seeds import OneSeed
from stackclip.benchmarks.tiles import TiledInspector
from stackclip.errors import StackclipError, UsageError
from stackclip.inspection.good import Calibrate, Division, Fold, divide
from stackclip.inspection.sheet import Scale, ScaleSample, step_at
from stackclip.inspection.verdicts import (
    RATE,
    Drift,
    check_rate,
    drift_of,
    lowest_rate,
    p_values,
    percentiles,
    threshold_of,
)
from stackclip.methods import Inspector
from stackclip.ops.words import counted
from stackclip.sizes import size_of
from stackclip.training.trainee import Trainee
from stackclip.types import Sample

__all__ = ["Calibration", "Calibrator", "Judgement", "Policy", "surveys"]

GOOD = "good pictures"  # as a scale says of which pictures it is


@dataclass(frozen=True, slots=True)
class Policy:
    """How verdicts are made: the false-alarm rate (None: RATE, or what the good pictures allow), and the division."""

    rate: float | None = None
    calibrate: Calibrate = "auto"


@dataclass(frozen=True)
class Judgement:
    """What the good pictures say of tested ones: (N,) each. `threshold` is None where a score depends on all tested.

    Of `good` pictures at most a share of `rate` is called anomalous.
    """

    percentile: NDArray[np.float64]
    p_value: NDArray[np.float64]
    anomalous: NDArray[np.bool_]
    threshold: float | None
    rate: float
    good: int
    how: str
    drift: Drift | None = None

    def __str__(self) -> str:
        limit = "" if self.threshold is None else f"; the threshold is {self.threshold:.6g}"
        least = " (no smaller one can be promised by so few)" if self.rate == lowest_rate(self.good) else ""
        return (
            f"{int(self.anomalous.sum())} of {counted(len(self.anomalous), 'picture')} anomalous, at a false-alarm "
            f"rate of {self.rate:.3g} by {counted(self.good, 'good picture')} {self.how}{least}{limit}"
        )


@dataclass(frozen=True)
class Calibration:
    """Scores (n,) and map maxima (n,) of good pictures, before they are settled; None where a method gives none.

    `ground` is the score that nine in ten pixels of good maps stay below, `exact` whether the tested pictures are
    scored by the very method that scored these, and `how` says how they were chosen, in words.
    """

    scores: Tensor | None
    peaks: Tensor | None
    ground: float | None
    how: str
    exact: bool
    rate: float

    @property
    def count(self) -> int:
        """How many good pictures there are."""
        known = self.peaks if self.scores is None else self.scores
        return 0 if known is None else len(known)

    @property
    def values(self) -> NDArray[np.float64]:
        """What the pictures are told apart by: their scores, or the maxima of their maps: (n,)."""
        known = self.peaks if self.scores is None else self.scores
        return np.empty(0) if known is None else known.double().numpy()

    def judge(self, inspector: Inspector, scores: Tensor | None, peaks: Tensor | None) -> Judgement:
        """Judge tested pictures by their scores (N,) and map maxima (N,), before they are settled.

        A score that depends on the pictures beside it is settled once for each tested picture, among the good ones:
        then its p-value depends on no other tested picture, and holds as well.
        """
        if self.scores is None or scores is None or not _settles(inspector):
            good, tested = self.values, (peaks if scores is None else scores)
            found = np.empty(0) if tested is None else tested.double().numpy()
            p, below, limit = p_values(good, found), percentiles(good, found), threshold_of(good, self.rate)
            judged = Judgement(below, p, found > limit, limit, self.rate, self.count, self.how)
            return replace(judged, drift=drift_of(good, found))
        pairs = [self._among_good(inspector, scores, peaks, row) for row in range(len(scores))]
        p = np.array([p_values(good, [own])[0] for good, own in pairs])
        below = np.array([percentiles(good, [own])[0] for good, own in pairs])
        anomalous = p <= self.rate * (1 + 1e-9)
        drift = drift_of(pairs[0][0], [own for _, own in pairs]) if pairs else None
        return Judgement(below, p, anomalous, None, self.rate, self.count, self.how, drift)

    def _among_good(
        self, inspector: Inspector, scores: Tensor, peaks: Tensor | None, row: int
    ) -> tuple[NDArray[np.float64], float]:
        """The settled scores of the good pictures and of one tested picture, beside each other."""
        assert self.scores is not None
        tops = None if peaks is None or self.peaks is None else torch.cat([self.peaks, peaks[row : row + 1]])
        settled = inspector.settle(torch.cat([self.scores, scores[row : row + 1]]), tops).double().numpy()
        return settled[:-1], float(settled[-1])

    @property
    def pixel_threshold(self) -> float | None:
        """The score above which no pixel of a good picture lies, but for the share of pictures that the rate allows."""
        return None if self.peaks is None else threshold_of(self.peaks.double().numpy(), self.rate)

    @property
    def scale(self) -> Scale | None:
        """A scale on which good pictures are dark, and what lies above the threshold is in its bright half."""
        limit = self.pixel_threshold
        if limit is None or self.ground is None:
            return None
        cold = min(self.ground, limit - step_at(limit))
        return Scale(cold, limit + (limit - cold), GOOD, limit)


def _settles(inspector: Inspector) -> bool:
    """Whether an inspector's final scores may depend on the pictures beside them."""
    return getattr(type(_alone(inspector)), "settle", None) is not Inspector.settle


def surveys(inspector: Inspector) -> bool:
    """Whether an inspector looks at all tested pictures before it scores the first."""
    return getattr(type(_alone(inspector)), "survey", Inspector.survey) is not Inspector.survey


def _alone(inspector: Inspector) -> Inspector:
    """The inspector itself, where another one hands it tiles."""
    return inspector.inspector if isinstance(inspector, TiledInspector) else inspector


@dataclass
class _Takes:
    """Takes maps of good pictures, one by one."""

    sample: ScaleSample

    def __call__(self, sample: Sample, scores: np.ndarray, _: np.ndarray) -> None:
        self.sample.add(scores, np.zeros(scores.shape, bool))


@dataclass(frozen=True)
class Calibrator:
    """Makes inspectors that are shown good pictures, and has them score other good ones."""

    run: OneSeed
    cell: Cell
    policy: Policy

    def divisions(self) -> dict[str, Division]:
        """How the good pictures are divided for each method.

        Where none is left to be scored a division has no folds. Raises UsageError then if a rate was asked for.
        """
        return {spec: self._division(entrant) for spec, entrant in self.run.entrants.items() if not entrant.why_not}

    def _division(self, entrant: Entrant) -> Division:
        rate, calibrate = self.policy.rate, self.policy.calibrate
        try:
            return divide(self.run.plan, self.cell, entrant, rate=rate or RATE, calibrate=calibrate)
        except UsageError as error:
            if rate is not None:
                raise
            return Division(self.cell.dataset.select(split="train").samples, (), str(error))

    def inspectors(
        self,
        trainees: Sequence[Trainee],
        evaluations: Mapping[str, Evaluation],
        shown: Callable[[str], Sequence[Sample]],
    ) -> dict[str, Inspector]:
        """What each method is for the category when it may be shown these pictures."""
        found: dict[str, Inspector] = {}
        for cell, alike in self._by_shown(trainees, shown):
            own = {t.spec: evaluations[t.spec] for t in alike}
            shots = self.run.testing.showing.shots(cell, own)
            found |= self.run.testing.showing.inspectors(cell, alike, own, shots)
        return found

    def calibrations(
        self, trainees: Sequence[Trainee], divisions: Mapping[str, Division], ready: Mapping[str, Inspector]
    ) -> Iterator[tuple[str, Calibration | StackclipError]]:
        """What each method that is `ready` says of the good pictures that it was not shown, or why it cannot be asked.

        A fold that shows what is shown before the test asks that inspector.
        """
        for trainee in trainees:
            if trainee.spec not in ready:
                continue
            if surveys(ready[trainee.spec]):
                why = "its scores depend on all pictures that are scored together, so good ones say nothing of others"
                yield trainee.spec, StackclipError(why)
                continue
            try:
                yield trainee.spec, self._calibration(trainee, divisions[trainee.spec], ready[trainee.spec])
            except StackclipError as error:
                yield trainee.spec, error

    def _calibration(self, trainee: Trainee, division: Division, ready: Inspector) -> Calibration:
        if not division.folds:
            raise StackclipError(division.how)
        side = self.run.plan.map_side(self.run.bench.tower.spec)
        held = sum(len(fold.held) for fold in division.folds)
        sample, scores, peaks = ScaleSample(held * size_of(side).area), list[Tensor](), list[Tensor]()
        for number, fold in enumerate(division.folds):
            said = Evaluation(side=side, pixels=None, watch=_Takes(sample))
            inspector = ready if fold.shown == division.shown else self._shown(trainee, fold, said)
            if inspector is not None:
                stage = f"calibrate {trainee.spec}" + (f", fold {number + 1}" if len(division.folds) > 1 else "")
                progress = partial(self.run.bench.progress, stage)
                self.run.testing.scan(fold.held, {trainee.spec: inspector}, {trainee.spec: said}, progress)
            if said.error:
                raise StackclipError(said.error)
            scores += [] if said.why_no_scores else said.scores
            peaks += said.peaks
        rate = self._rate(held)
        found = torch.cat(scores) if scores else None, torch.cat(peaks) if peaks else None
        if found == (None, None):
            raise StackclipError("it gives neither scores nor maps")
        return Calibration(*found, sample.ground(), division.how, division.exact, rate)

    def _rate(self, held: int) -> float:
        """The false-alarm rate that is promised. Raises UsageError for one that was asked for and cannot be."""
        if self.policy.rate is None:
            return max(RATE, lowest_rate(held))
        check_rate(self.policy.rate, held)
        return self.policy.rate

    def _shown(self, trainee: Trainee, fold: Fold, said: Evaluation) -> Inspector | None:
        return self.inspectors([trainee], {trainee.spec: said}, lambda _: fold.shown).get(trainee.spec)

    def with_good(self, good: Sequence[Sample]) -> Cell:
        """The cell with these good pictures alone."""
        tested = self.cell.dataset.select(split="test").samples
        return replace(self.cell, dataset=replace(self.cell.dataset, samples=(*tested, *good)))

    def _by_shown(
        self, trainees: Sequence[Trainee], shown: Callable[[str], Sequence[Sample]]
    ) -> Iterator[tuple[Cell, list[Trainee]]]:
        """The cell with the good pictures that may be shown, and the methods of which this is so."""
        groups: dict[tuple[Sample, ...], list[Trainee]] = {}
        for trainee in trainees:
            groups.setdefault(tuple(shown(trainee.spec)), []).append(trainee)
        yield from ((self.with_good(good), alike) for good, alike in groups.items())
