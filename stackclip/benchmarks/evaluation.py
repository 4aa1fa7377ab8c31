"""What a method predicts of one category, batch by batch, and the metrics of that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from stackclip.benchmarks.breakdown import Breakdown
from stackclip.benchmarks.equal_maps import EqualMaps
from stackclip.errors import NonFiniteScores, NotApplicable
from stackclip.methods import Inspector
from stackclip.metrics import (
    IMAGE_METRICS,
    PIXEL_METRICS,
    Measured,
    PixelAccumulator,
    PixelMetrics,
    image_metrics,
)
from stackclip.metrics.counts import PixelCounter, PixelCounts
from stackclip.metrics.evidence import Evidence
from stackclip.ops.given import final_scores, prediction_of
from stackclip.ops.regions import Runs
from stackclip.ops.small_maps import Looked
from stackclip.ops.words import agreed, counted
from stackclip.sizes import Side
from stackclip.types import ANOMALOUS, Features, Prediction, Sample

__all__ = ["Evaluation"]


@dataclass
class Evaluation:
    """What a method predicted of one category so far; with a `counter` there is evidence picture by picture too.

    `side` is that of the pictures and masks in pixels, or their size; maps of another are refused where it is known.
    Without `pixels` there are no pixel metrics. `breakdown` takes what is told of parts. `watch` is called with every
    picture, its map (H, W) and the runs of its mask. `looked` is what is kept of every picture for who looks at it
    later. Evaluations of one scan that have `equal` in common measure maps that are the same once.
    """

    side: Side | None = None
    scores: list[Tensor] = field(default_factory=list)
    peaks: list[Tensor] = field(default_factory=list)
    pixels: PixelAccumulator | None = field(default_factory=PixelMetrics)
    counter: PixelCounter | None = None
    breakdown: Breakdown = field(default_factory=Breakdown)
    watch: Callable[[Sample, np.ndarray, np.ndarray], None] | None = None
    looked: Looked | None = None
    settled: Tensor | None = None
    localised: list[bool] = field(default_factory=list)
    why_no_scores: str = ""
    why_no_maps: str = ""
    seconds: float = 0.0
    error: str = ""
    equal: EqualMaps | None = field(default=None, repr=False)

    def predict(self, inspector: Inspector, features: Features, runs: Sequence[np.ndarray | None]) -> None:
        """Take in what an inspector predicts of a batch, with the runs of each mask; the time counts."""
        started = time.perf_counter()
        self.add(inspector.predict(features), features.samples, runs)
        self.seconds += time.perf_counter() - started

    def measure(self, inspector: Inspector, samples: Sequence[Sample]) -> Measured:
        """The metrics of the category, whose pictures have all been predicted; the time counts."""
        started = time.perf_counter()
        measured = self.compute(samples, inspector)
        self.seconds += time.perf_counter() - started
        return measured

    def add(self, prediction: Prediction, samples: Sequence[Sample], runs: Sequence[np.ndarray | None]) -> None:
        """Take in the prediction of one batch, in the precision that it came in, with the runs of each mask.

        Where a mask cannot be used these are None, and the map of its picture is left out of the pixel metrics.

        Raises NonFiniteScores naming the picture, BrokenPlugin for shapes that are not one score and one map a picture.
        """
        prediction = prediction_of(prediction, len(samples), self.side)
        self.breakdown.take_components({name: _kept(each) for name, each in prediction.components.items()})
        self.why_no_scores = self.why_no_scores or prediction.why_no_scores  # one batch without is a category without
        self.why_no_maps = self.why_no_maps or prediction.why_no_maps
        if prediction.scores is not None:
            _check_finite(prediction.scores.isfinite(), samples)
            self.scores.append(_kept(prediction.scores))
        maps = None if prediction.maps is None else _kept(prediction.maps)
        ends = None if maps is None else _ends(maps)
        if maps is not None and ends is not None:
            low, high = ends
            _check_finite(low.isfinite() & high.isfinite(), samples)
            self.peaks.append(high)
            for sample, scores, mask_runs in zip(samples, maps.numpy(), runs, strict=True):
                self.localised.append(mask_runs is not None)
                if mask_runs is not None:
                    self.breakdown.take_map(sample, scores, mask_runs)
                    if self.watch:
                        self.watch(sample, scores, mask_runs)
        if self.equal is None:
            _take(self, maps=maps, ends=ends, runs=runs)
        else:
            self.equal.add(self, maps, partial(_take, maps=maps, ends=ends, runs=runs))

    def settle(self, inspector: Inspector) -> Tensor | None:
        """The final scores (N,) of the pictures so far; None of a method that gives no scores."""
        if self.scores and not self.why_no_scores:
            scores = torch.cat(self.scores)
            self.settled = final_scores(inspector.settle(scores, torch.cat(self.peaks) if self.peaks else None), scores)
        return self.settled

    @property
    def are_scores_dependent(self) -> bool:
        """Whether `settle` made the final scores of all pictures together: they are not those of the batches."""
        if self.settled is None:
            return False
        return not np.array_equal(self.settled.numpy(), torch.cat(self.scores).numpy())

    def compute(self, samples: Sequence[Sample], inspector: Inspector) -> Measured:
        """The metrics of the category. Raises NotApplicable if none of its pictures could be used."""
        if not samples:
            raise NotApplicable("none of the pictures could be used")
        values: dict[str, float] = {}
        undefined: dict[str, str] = {}
        labels = [sample.label for sample in samples]
        why_no_scores = self.why_no_scores or "the method gives no scores"
        if (scores := self.settle(inspector)) is not None:
            _merge(image_metrics(scores.numpy(), labels), values, undefined)
        else:
            undefined.update(dict.fromkeys(IMAGE_METRICS, why_no_scores))
        why_no_maps = self.why_no_maps or ("" if self.peaks else "the method gives no maps")
        own = None if scores is None else scores.numpy()
        _merge(self.breakdown.measure(samples, own, why_no_scores, why_no_maps), values, undefined)
        reason = why_no_maps or self._why_not_localised(samples)
        if self.pixels is not None and not reason:
            pixels = self.pixels.compute() if self.equal is None else self.equal.measured(self, self.pixels)
            _merge(pixels, values, undefined)
            return Measured(values, undefined, pixels.form, pixels.bounds)
        names = self.pixels.names if self.pixels else PIXEL_METRICS
        undefined.update(dict.fromkeys(names, reason or "no mask can be used"))
        return Measured(values, undefined)

    def _why_not_localised(self, samples: Sequence[Sample]) -> str:
        """Why maps cannot be held against masks; empty where they can."""
        if unlocalised := _unlocalised(samples):
            return f"{counted(unlocalised, 'defective picture')} {agreed('have', unlocalised)} no mask"
        return "" if any(self.localised) else "no mask can be used"

    def evidence(self, samples: Sequence[Sample]) -> Evidence:
        """What the metrics that were computed are made of, picture by picture."""
        scores = None if self.settled is None else self.settled.numpy()
        return Evidence(np.array([sample.label for sample in samples]), scores, self._counts(samples))

    def _counts(self, samples: Sequence[Sample]) -> PixelCounts | None:
        """The counts of all pictures, of which those without a usable mask have none; None where nothing is counted."""
        if not self.counter or self.why_no_maps or not any(self.localised) or _unlocalised(samples):
            return None
        counts = self.counter.counts()
        return counts if all(self.localised) else counts.among(self.localised)


def _take(
    evaluation: Evaluation, *, maps: Tensor | None, ends: tuple[Tensor, Tensor] | None, runs: Sequence[Runs | None]
) -> None:
    """Have an evaluation measure and keep maps (B, H, W), whose lowest and highest scores are known."""
    if maps is not None and ends is not None:
        for scores, low, high, mask_runs in zip(maps.numpy(), *(each.numpy() for each in ends), runs, strict=True):
            if mask_runs is not None and evaluation.pixels is not None:
                evaluation.pixels.add(scores, mask_runs, (low, high))
            if mask_runs is not None and evaluation.counter:
                evaluation.counter.add(scores, mask_runs)
    if evaluation.looked is not None:
        evaluation.looked.add(maps, runs)


def _unlocalised(samples: Sequence[Sample]) -> int:
    """How many defective pictures have no mask."""
    return sum(sample.label == ANOMALOUS and sample.mask is None for sample in samples)


def _merge(measured: Measured, values: dict[str, float], undefined: dict[str, str]) -> None:
    values.update(measured.values)
    undefined.update(measured.undefined)


def _kept(numbers: Tensor) -> Tensor:
    """Scores as numpy can hold them: halves as float32, which is exact, and all others as they are."""
    narrow = numbers.is_floating_point() and numbers.element_size() < torch.float32.itemsize
    return numbers.detach().to("cpu", torch.float32 if narrow else numbers.dtype)


def _ends(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest score (B,) of each map (B, H, W), in one pass; NaN where a score is."""
    low, high = zip(*(each.aminmax() for each in maps), strict=True)
    return torch.stack(low), torch.stack(high)


def _check_finite(finite: Tensor, samples: Sequence[Sample]) -> None:
    """Raise NonFiniteScores naming the first picture that is not `finite` (B,)."""
    if not finite.all():
        first = samples[int((~finite).nonzero()[0])]
        raise NonFiniteScores(f"NaN or infinity for {first.key}; the method's cells are left out")
