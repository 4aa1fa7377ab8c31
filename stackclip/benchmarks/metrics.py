"""What a detector is worth: exact ranking metrics of picture scores and of score maps, in [0, 1].

True positives and region overlap change only at the scores of anomalous pixels, which are few. So the anomalous scores
are sorted with their regions, the normal ones without anything, and the normal pixels between consecutive distinct
anomalous scores are counted: that gives AUROC, AP, F1-max and AUPRO exactly, from one sort.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import NonFiniteScores
from stackclip.ops.regions import Runs
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["ALIASES", "FPR_LIMIT", "IMAGE_METRICS", "PIXEL_METRICS", "Measured", "PixelMetrics", "image_metrics"]

IMAGE_METRICS = ("image_AUROC", "image_AP", "image_F1max")
PIXEL_METRICS = ("pixel_AUROC", "pixel_AP", "pixel_F1max", "pixel_AUPRO", "pixel_AUPRO_cflow200")

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        # APRIL-GAN and CLIP-AD; their AUPRO is the 200-threshold script's
        "auroc_sp": "image_AUROC",
        "ap_sp": "image_AP",
        "f1_sp": "image_F1max",
        "auroc_px": "pixel_AUROC",
        "ap_px": "pixel_AP",
        "f1_px": "pixel_F1max",
        "aupro": "pixel_AUPRO_cflow200",
        # AnomalyCLIP; the same script
        "image_auroc": "image_AUROC",
        "image_ap": "image_AP",
        "pixel_auroc": "pixel_AUROC",
        "pixel_aupro": "pixel_AUPRO_cflow200",
        # ADer, whose configurations ask for adeval's AUPRO, within 1e-5 of the exact one
        "mAUROC_sp_max": "image_AUROC",
        "mAP_sp_max": "image_AP",
        "mF1_max_sp_max": "image_F1max",
        "mAUROC_px": "pixel_AUROC",
        "mAP_px": "pixel_AP",
        "mF1_max_px": "pixel_F1max",
        "mAUPRO_px": "pixel_AUPRO",
    }
)
"""Other projects' names of the same numbers, and ours."""

FPR_LIMIT = 0.3  # AUPRO is integrated up to here and divided by it (MVTec AD, Bergmann et al. 2021)
_CFLOW_THRESHOLDS = 200  # the script's `max_step`


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics by name, as fractions, and for those that are undefined the reason."""

    values: Mapping[str, float]
    undefined: Mapping[str, str]


def image_metrics(scores: Any, labels: Any) -> Measured:
    """Measure picture scores (N,) against labels (N,) in {NORMAL, ANOMALOUS}: AUROC, AP and F1-max, exactly.

    Ties are one threshold. AP is the step integral of the precision, F1-max the best over all thresholds; all three
    are undefined where one class is missing. Raises NonFiniteScores for NaN or infinity and ValueError for arrays that
    do not fit each other.
    """
    scores, labels = _as_scores(scores), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must be two lists of one length")
    if not np.isin(labels, (NORMAL, ANOMALOUS)).all():
        raise ValueError(f"labels must be {NORMAL} (normal) or {ANOMALOUS} (anomalous), found {np.unique(labels)}")
    if found := _non_finite(scores):
        raise NonFiniteScores(f"{found} of {scores.size} picture scores are NaN or infinite")
    normal, anomalous = np.sort(scores[labels == NORMAL]), np.sort(scores[labels == ANOMALOUS])
    for count, kind in ((anomalous.size, "anomalous"), (normal.size, "normal")):
        if not count:
            return Measured({}, dict.fromkeys(IMAGE_METRICS, f"no {kind} picture"))
    steps = _Steps.count(normal, anomalous)
    return Measured(
        dict(zip(IMAGE_METRICS, (_auroc(steps), _average_precision(steps), _f1_max(steps)), strict=True)), {}
    )


class PixelMetrics:
    """The pixel metrics of one category, from pictures that come one by one, in any order.

    Scores are kept and compared as they are given: 4 bytes a pixel for float32 maps (8 for float64), twice that while
    they are sorted. `compute` may be called at any time and more pictures added after it.
    """

    def __init__(self) -> None:
        self._normal: list[NDArray[Any]] = []  # scores of normal pixels
        self._anomalous: list[NDArray[Any]] = []  # scores of anomalous pixels ...
        self._regions: list[NDArray[np.int32]] = []  # ... and the index of the region of each
        self._areas: list[NDArray[np.int64]] = []  # pixels of each region
        self._region_count = 0

    def add(self, scores: Any, runs: Runs) -> None:
        """Take a map (H, W) and the labelled regions of its mask (R, 3) at the same size; higher is more anomalous.

        Raises NonFiniteScores for NaN or infinity and ValueError for a map or runs of the wrong form.
        """
        scores = _as_scores(scores)
        if scores.ndim != 2:
            raise ValueError(f"a map is (H, W), this one has the shape {scores.shape}")
        if found := _non_finite(scores):
            raise NonFiniteScores(f"{found} of {scores.size} pixels of the map are NaN or infinite")
        flat = scores.reshape(-1)
        if not len(runs):
            self._normal.append(flat.copy())
            return
        pixels, numbers = _pixels_of(runs, flat.size)
        normal = np.ones(flat.size, dtype=bool)
        normal[pixels] = False
        _, regions, areas = np.unique(numbers, return_inverse=True, return_counts=True)
        self._normal.append(flat[normal])
        self._anomalous.append(flat[pixels])
        self._regions.append((regions + self._region_count).astype(np.int32))
        self._areas.append(areas)
        self._region_count += areas.size

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
        them up to a rate of 0.3 is divided by 0.3. So pixels of one score are one step and are never ordered among
        themselves. MVTec AD, Bergmann et al. 2021.

        All are undefined where no pixel is anomalous or none is normal; the 200-threshold one also where its script
        has no answer.
        """
        if not self._region_count:
            return Measured({}, dict.fromkeys(PIXEL_METRICS, "no anomalous pixel"))
        normal = _gather(self._normal)
        if not normal.size:
            return Measured({}, dict.fromkeys(PIXEL_METRICS, "no normal pixel"))
        normal.sort()
        anomalous, regions, areas = _gather(self._anomalous), _gather(self._regions), _gather(self._areas)
        order = np.argsort(anomalous)
        anomalous, regions = anomalous[order], regions[order]
        steps = _Steps.count(normal, anomalous)
        exact = (_auroc(steps), _average_precision(steps), _f1_max(steps), _aupro(steps, regions, areas))
        values, undefined = dict(zip(PIXEL_METRICS, exact, strict=False)), {}
        cflow = _aupro_cflow(normal, anomalous, regions, areas)
        if isinstance(cflow, str):
            undefined["pixel_AUPRO_cflow200"] = cflow
        else:
            values["pixel_AUPRO_cflow200"] = cflow
        return Measured(values, undefined)


@dataclass(frozen=True, slots=True)
class _Steps:
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
    def count(cls, normal: NDArray[Any], anomalous: NDArray[Any]) -> _Steps:
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


def _auroc(steps: _Steps) -> float:
    """The chance that an anomalous element scores above a normal one, ties counting half, in whole numbers."""
    new_hits = np.diff(steps.hits, prepend=0)
    twice_lost = int((new_hits * (steps.alarms + steps.alarms_above)).sum())
    return 1 - twice_lost / (2 * steps.anomalous * steps.normal)


def _average_precision(steps: _Steps) -> float:
    """The step integral of precision over recall (not the trapezoid)."""
    new_hits = np.diff(steps.hits, prepend=0)
    return float((new_hits * (steps.hits / (steps.hits + steps.alarms))).sum() / steps.anomalous)


def _f1_max(steps: _Steps) -> float:
    """The best F1 over all thresholds; the best one is always at an anomalous score."""
    return float((2 * steps.hits / (steps.hits + steps.alarms + steps.anomalous)).max())


def _aupro(steps: _Steps, regions: NDArray[np.int32], areas: NDArray[np.int64]) -> float:
    """The area under region overlap against false-positive rate up to the limit, over the limit.

    `regions` (M,) are those of the anomalous pixels, by rising score; `areas` (G,) their pixels.
    """
    shares = (1 / (areas * areas.size))[regions[::-1]]  # of the mean overlap, by falling score
    overlap = np.cumsum(shares)[steps.hits - 1]
    # Falling from one distinct anomalous score to the next, first the normal pixels between them turn positive (the
    # overlap stays), then all pixels of the next score at once (a straight line): two corners for each score.
    rates = np.stack([steps.alarms_above, steps.alarms], axis=1).reshape(-1) / steps.normal
    rates = np.concatenate([rates, [1.0]])
    heights = np.concatenate([[0.0], np.repeat(overlap, 2)])
    inside = int(np.searchsorted(rates, FPR_LIMIT, side="right"))
    if not inside:
        return 0.0  # no defect is touched before the limit
    x, x_next = rates[inside - 1], rates[inside]
    y, y_next = heights[inside - 1], heights[inside]
    at_limit = y + (y_next - y) * (FPR_LIMIT - x) / (x_next - x)
    area = _trapezoid(np.append(rates[:inside], FPR_LIMIT), np.append(heights[:inside], at_limit))
    return area / FPR_LIMIT


def _aupro_cflow(
    normal: NDArray[Any], anomalous: NDArray[Any], regions: NDArray[np.int32], areas: NDArray[np.int64]
) -> float | str:
    """The AUPRO of the script that APRIL-GAN, CLIP-AD and AnomalyCLIP share, to the last bit; or why it has none.

    Thresholds from the lowest score of the category in 200 equal steps, short of the highest; a pixel above (not at) a
    threshold is positive; of the points with a false-positive rate below 0.3, the rates are stretched to [0, 1].
    Scores are sorted upwards, with the region of each anomalous one.
    """
    low, high = min(normal[0], anomalous[0]), max(normal[-1], anomalous[-1])
    if low == high:
        return "every pixel has the same score"
    with np.errstate(over="ignore"):
        step = (high - low) / low.dtype.type(_CFLOW_THRESHOLDS)
    if not 0 < step < np.inf:
        return f"the scores from {low} to {high} do not divide into {_CFLOW_THRESHOLDS} thresholds"
    thresholds = _round_down(np.arange(low, high, step, dtype=np.float64), low.dtype)
    rates = (normal.size - np.searchsorted(normal, thresholds, side="right")) / normal.size
    kept = rates < FPR_LIMIT
    if kept.sum() < 2 or np.ptp(rates[kept]) == 0:
        return f"its thresholds give fewer than two false-positive rates below {FPR_LIMIT}"
    hits = areas.copy()  # pixels of each region above the threshold
    overlap = np.empty(thresholds.size)
    passed = 0
    for index, below in enumerate(np.searchsorted(anomalous, thresholds, side="right")):
        hits -= np.bincount(regions[passed:below], minlength=areas.size)
        overlap[index] = (hits / areas).mean()
        passed = below
    rates, overlap = rates[kept], overlap[kept]
    stretched = (rates - rates.min()) / (rates.max() - rates.min())
    return -_trapezoid(stretched, overlap) + 0.0  # rates fall; + 0.0 clears the sign of zero


def _trapezoid(x: NDArray[Any], y: NDArray[Any]) -> float:
    """The signed area below the points joined by straight lines."""
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def _round_down(thresholds: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The highest number of `dtype` that is not above each threshold: the same scores lie above both.

    Searching for float64 thresholds among float32 scores would copy all the scores.
    """
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(dtype)
    return np.where(rounded > thresholds, np.nextafter(rounded, dtype.type(-np.inf)), rounded)


def _as_scores(scores: Any) -> NDArray[Any]:
    """The scores as they are, or as float32 or float64 where they are half floats or whole numbers."""
    array: NDArray[Any] = np.asarray(scores)
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def _non_finite(scores: NDArray[Any]) -> int:
    return scores.size - int(np.count_nonzero(np.isfinite(scores)))


def _pixels_of(runs: Runs, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels that the runs cover, in order, and the region number of each; `size` is that of the picture."""
    runs = np.asarray(runs)
    if runs.ndim != 2 or runs.shape[1] != 3:
        raise ValueError(f"runs are (R, 3), these have the shape {runs.shape}")
    start, stop, numbers = runs.astype(np.int64).T
    if (start >= stop).any() or (start[1:] < stop[:-1]).any() or stop[-1] > size:
        raise ValueError(f"runs must be sorted, apart and inside the {size} pixels of the map")
    lengths = stop - start
    ahead = np.repeat(start - np.cumsum(lengths) + lengths, lengths)
    return ahead + np.arange(ahead.size), np.repeat(numbers, lengths)


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
