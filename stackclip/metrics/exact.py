"""The exact metrics, from one sort of all scores.

True positives and region overlap change only at the scores of anomalous pixels, which are few. So the anomalous scores
are sorted with their regions, the normal ones without anything, and the normal pixels between consecutive distinct
anomalous scores are counted: that gives AUROC, AP, F1-max and AUPRO exactly, from one sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import NonFiniteScores
from stackclip.metrics.cflow import area_of, thresholds_of, trapezoid
from stackclip.metrics.names import FPR_LIMIT, IMAGE_METRICS, PIXEL_METRICS, Measured, aupro_name
from stackclip.metrics.pictures import Ends, Regions, as_scores, flat_map, non_finite, pixels_of
from stackclip.ops.regions import Runs
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["PixelMetrics", "ThresholdSteps", "image_metrics", "overlap_area"]


def image_metrics(scores: Any, labels: Any) -> Measured:
    """Measure picture scores (N,) against labels (N,) in {NORMAL, ANOMALOUS}: AUROC, AP and F1-max, exactly.

    Ties are one threshold. AP is the step integral of the precision, F1-max the best over all thresholds; all three
    are undefined where one class is missing. Raises NonFiniteScores for NaN or infinity and ValueError for arrays that
    do not fit each other.
    """
    scores, labels = as_scores(scores), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must be two lists of one length")
    if not np.isin(labels, (NORMAL, ANOMALOUS)).all():
        raise ValueError(f"labels must be {NORMAL} (normal) or {ANOMALOUS} (anomalous), found {np.unique(labels)}")
    if found := non_finite(scores):
        raise NonFiniteScores(f"{found} of {scores.size} picture scores are NaN or infinite")
    normal, anomalous = np.sort(scores[labels == NORMAL]), np.sort(scores[labels == ANOMALOUS])
    for count, kind in ((anomalous.size, "anomalous"), (normal.size, "normal")):
        if not count:
            return Measured({}, dict.fromkeys(IMAGE_METRICS, f"no {kind} picture"))
    steps = ThresholdSteps.count(normal, anomalous)
    return Measured(
        dict(zip(IMAGE_METRICS, (_auroc(steps), _average_precision(steps), _f1_max(steps)), strict=True)), {}
    )


class PixelMetrics:
    """The pixel metrics of one category, from pictures that come one by one, in any order.

    Scores are kept and compared as they are given: 4 bytes a pixel for float32 maps (8 for float64), twice that while
    they are sorted. `compute` may be called at any time and more pictures added after it. `limits` are false-positive
    rates up to which AUPRO is wanted too; `names` are those of all metrics.
    """

    def __init__(self, limits: tuple[float, ...] = ()) -> None:
        self._limits = limits
        self.names = (*PIXEL_METRICS, *map(aupro_name, limits))
        self._normal: list[NDArray[Any]] = []  # scores of normal pixels
        self._anomalous: list[NDArray[Any]] = []  # scores of anomalous pixels ...
        self._regions: list[NDArray[np.int32]] = []  # ... and the index of the region of each
        self._areas: list[NDArray[np.int64]] = []  # pixels of each region
        self._region_count = 0

    def add(self, scores: Any, runs: Runs, ends: Ends | None = None) -> None:
        """Take a map (H, W) and the labelled regions of its mask (R, 3) at the same size; higher is more anomalous.

        `ends` are the lowest and the highest score, of who knows them already.
        Raises NonFiniteScores for NaN or infinity and ValueError for a map or runs of the wrong form.
        """
        flat, _, _ = flat_map(scores, ends)
        if not len(runs):
            self._normal.append(flat.copy())
            return
        regions = Regions.of(runs, flat.size)
        pixels = pixels_of(regions.starts, regions.lengths)
        normal = np.ones(flat.size, dtype=bool)
        normal[pixels] = False
        self._normal.append(flat[normal])
        self._anomalous.append(flat[pixels])
        self._regions.append(np.repeat((regions.numbers + self._region_count).astype(np.int32), regions.lengths))
        self._areas.append(regions.areas)
        self._region_count += regions.areas.size

    def merge(self, other: PixelMetrics) -> None:
        """Take all pictures of another accumulator, as if they had been added here; the other one stays as it is."""
        self._normal.extend(other._normal)
        self._anomalous.extend(other._anomalous)
        self._regions.extend([regions + np.int32(self._region_count) for regions in other._regions])
        self._areas.extend(other._areas)
        self._region_count += other._region_count

    def compute(self) -> Measured:
        """AUROC, AP, F1-max and AUPRO, exactly, and the AUPRO of the field's 200-threshold script.

        AUPRO: for every distinct score of the category, from the highest, the pixels at or above it are positive and
        give one point (false-positive rate over the normal pixels of all pictures, mean over all regions of the share
        of the region that is positive); the points are joined by straight lines, from (0, 0) on, and the area below
        them up to a rate of 0.3 is divided by 0.3 (and so for further limits). So pixels of one score are one step and
        are never ordered among themselves. MVTec AD, Bergmann et al. 2021.

        All are undefined where no pixel is anomalous or none is normal; the 200-threshold one also where its script
        has no answer.
        """
        if not self._region_count:
            return Measured({}, dict.fromkeys(self.names, "no anomalous pixel"))
        normal = _gather(self._normal)
        if not normal.size:
            return Measured({}, dict.fromkeys(self.names, "no normal pixel"))
        normal.sort()
        anomalous, regions, areas = _gather(self._anomalous), _gather(self._regions), _gather(self._areas)
        order = np.argsort(anomalous)
        anomalous, regions = anomalous[order], regions[order]
        steps = ThresholdSteps.count(normal, anomalous)
        shares = (1 / (areas * areas.size))[regions[::-1]]
        exact = (_auroc(steps), _average_precision(steps), _f1_max(steps), overlap_area(steps, shares, FPR_LIMIT))
        values, undefined = dict(zip(PIXEL_METRICS, exact, strict=False)), {}
        values |= {aupro_name(limit): overlap_area(steps, shares, limit) for limit in self._limits}
        cflow = _aupro_cflow(normal, anomalous, regions, areas)
        if isinstance(cflow, str):
            undefined["pixel_AUPRO_cflow200"] = cflow
        else:
            values["pixel_AUPRO_cflow200"] = cflow
        return Measured(values, undefined)


@dataclass(frozen=True, slots=True)
class ThresholdSteps:
    """What the thresholds at the D distinct anomalous scores count, from the highest score down.

    `hits` and `alarms` (D,) are the anomalous and the normal elements at or above each score, `alarms_above` the
    normal ones strictly above it; between two of these scores only `alarms` would change.
    """

    hits: NDArray[np.int64]
    alarms: NDArray[np.int64]
    alarms_above: NDArray[np.int64]
    anomalous: int
    normal: int

    @classmethod
    def count(cls, normal: NDArray[Any], anomalous: NDArray[Any]) -> ThresholdSteps:
        """Count for scores that are sorted upwards and not empty."""
        first = np.flatnonzero(np.append(True, anomalous[1:] != anomalous[:-1]))
        distinct = anomalous[first]
        below = np.searchsorted(normal, distinct, side="left")
        tied = normal[np.minimum(below, normal.size - 1)] == distinct
        up_to = below.copy()
        up_to[tied] = np.searchsorted(normal, distinct[tied], side="right")
        return cls(
            hits=(anomalous.size - first)[::-1],
            alarms=(normal.size - below)[::-1],
            alarms_above=(normal.size - up_to)[::-1],
            anomalous=anomalous.size,
            normal=normal.size,
        )


def _auroc(steps: ThresholdSteps) -> float:
    """The chance that an anomalous element scores above a normal one, ties counting half, in whole numbers."""
    new_hits = np.diff(steps.hits, prepend=0)
    twice_lost = int((new_hits * (steps.alarms + steps.alarms_above)).sum())
    return 1 - twice_lost / (2 * steps.anomalous * steps.normal)


def _average_precision(steps: ThresholdSteps) -> float:
    """The step integral of precision over recall (not the trapezoid)."""
    new_hits = np.diff(steps.hits, prepend=0)
    return float((new_hits * (steps.hits / (steps.hits + steps.alarms))).sum() / steps.anomalous)


def _f1_max(steps: ThresholdSteps) -> float:
    """The best F1 over all thresholds; the best one is always at an anomalous score."""
    return float((2 * steps.hits / (steps.hits + steps.alarms + steps.anomalous)).max())


def overlap_area(steps: ThresholdSteps, shares: NDArray[np.float64], limit: float) -> float:
    """The area under region overlap against false-positive rate up to a limit, over the limit.

    `shares` (M,) are what the anomalous pixels add to the overlap, by falling score.
    """
    overlap = np.cumsum(shares)[steps.hits - 1]
    # Falling from one distinct anomalous score to the next, first the normal pixels between them turn positive (the
    # overlap stays), then all pixels of the next score at once (a straight line): two corners for each score.
    rates = np.stack([steps.alarms_above, steps.alarms], axis=1).reshape(-1) / steps.normal
    rates = np.concatenate([rates, [1.0]])
    heights = np.concatenate([[0.0], np.repeat(overlap, 2)])
    inside = int(np.searchsorted(rates, limit, side="right"))
    if not inside:
        return 0.0  # no defect is touched before the limit
    if inside == rates.size:
        return trapezoid(rates, heights) / limit
    x, x_next = rates[inside - 1], rates[inside]
    y, y_next = heights[inside - 1], heights[inside]
    at_limit = y + (y_next - y) * (limit - x) / (x_next - x)
    area = trapezoid(np.append(rates[:inside], limit), np.append(heights[:inside], at_limit))
    return area / limit


def _aupro_cflow(
    normal: NDArray[Any], anomalous: NDArray[Any], regions: NDArray[np.int32], areas: NDArray[np.int64]
) -> float | str:
    """The 200-threshold AUPRO of scores that are sorted upwards, with the region of each anomalous one."""
    thresholds = thresholds_of(min(normal[0], anomalous[0]), max(normal[-1], anomalous[-1]))
    if isinstance(thresholds, str):
        return thresholds
    rates = (normal.size - np.searchsorted(normal, thresholds, side="right")) / normal.size
    hits = areas.copy()  # pixels of each region above the threshold
    overlap = np.empty(thresholds.size)
    passed = 0
    for index, below in enumerate(np.searchsorted(anomalous, thresholds, side="right")):
        hits -= np.bincount(regions[passed:below], minlength=areas.size)
        overlap[index] = (hits / areas).mean()
        passed = below
    return area_of(rates, overlap)


def _gather(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    """One array of all pieces, which then is the only piece; each is let go as soon as it is copied."""
    if len(pieces) == 1:
        return pieces[0]
    whole = np.empty(sum(piece.size for piece in pieces), dtype=np.result_type(*pieces) if pieces else np.float32)
    stop = whole.size
    while pieces:
        piece = pieces.pop()
        whole[stop - piece.size : stop] = piece
        stop -= piece.size
    pieces.append(whole)
    return whole
