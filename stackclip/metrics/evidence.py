"""What a method says of the pictures of a category, and the metrics of it when each picture counts so many times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics.counts import Numbers, PixelCounts
from stackclip.metrics.names import FPR_LIMIT, IMAGE_METRICS, PIXEL_METRICS
from stackclip.types import ANOMALOUS

__all__ = ["Evidence", "measure"]

_TOGETHER = 16  # draws that are measured at a time, in the cache of a processor


@dataclass(frozen=True)
class Evidence:
    """What a method says of the pictures of a category: labels (B,), scores (B,) and counts of maps, as far as it does.

    Raises ValueError where these are not of the same pictures.
    """

    labels: NDArray[Any]
    scores: NDArray[Any] | None = None
    pixels: PixelCounts | None = None

    def __post_init__(self) -> None:
        counts = [len(self.labels), *([] if self.scores is None else [len(self.scores)])]
        counts += [] if self.pixels is None else [len(self.pixels)]
        if len(set(counts)) > 1 or not counts[0]:
            raise ValueError(f"labels, scores and maps are those of the same pictures, found {counts}")


def measure(evidence: Evidence, weights: Numbers) -> dict[str, Numbers]:
    """The metrics of each draw (D,), not a number where it has none; `weights` (D, B) say what is drawn."""
    by_name: dict[str, list[Numbers]] = {}
    for name, values in (*_image_metrics(evidence, weights), *_pixel_metrics(evidence, weights)):
        by_name.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in by_name.items()}


def _image_metrics(evidence: Evidence, weights: Numbers) -> Iterator[tuple[str, Numbers]]:
    if evidence.scores is None:
        return
    distinct, step = np.unique(-np.asarray(evidence.scores, np.float64), return_inverse=True)
    which = np.zeros((len(evidence.labels), distinct.size))
    which[np.arange(step.size), step] = 1
    anomalous = np.asarray(evidence.labels) == ANOMALOUS
    alarms, hits = weights @ (which * ~anomalous[:, None]), weights @ (which * anomalous[:, None])
    yield from zip(IMAGE_METRICS, _ranking(alarms, hits, np.ones(distinct.size, bool)), strict=True)


def _pixel_metrics(evidence: Evidence, weights: Numbers) -> Iterator[tuple[str, Numbers]]:
    if evidence.pixels is None:
        return
    counts = (evidence.pixels.normal, evidence.pixels.anomalous, evidence.pixels.shares, evidence.pixels.regions)
    normal, hits, shares, regions = (array.astype(np.float64) for array in counts)
    for start in range(0, len(weights), _TOGETHER):
        part = weights[start : start + _TOGETHER]
        false, true = part @ normal, part @ hits
        with np.errstate(invalid="ignore"):
            overlap = part @ shares / (part @ regions)[:, None]
        yield from zip(
            PIXEL_METRICS, (*_ranking(false, true, evidence.pixels.tied), _aupro(false, overlap)), strict=False
        )


def _ranking(alarms: Numbers, hits: Numbers, tied: NDArray[np.bool_]) -> tuple[Numbers, Numbers, Numbers]:
    """AUROC, AP and F1-max (D,) from the normal and anomalous counts at each step (D, K), by falling score.

    `tied` (K,) says which steps are one score; within the others the two are evenly mixed.
    """
    false, true = np.cumsum(alarms, axis=1), np.cumsum(hits, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = 1 - (hits * (false - alarms / 2)).sum(1) / (false[:, -1] * true[:, -1])
        precision = true / (true + false)
        if not tied.all():
            precision = np.where(tied, precision, _mixed_precision(alarms, hits, false - alarms, true - hits))
        ap = (np.where(hits > 0, precision, 0) * hits).sum(1) / true[:, -1]
        f1 = np.where(true > 0, 2 * true / (true + false + true[:, -1:]), 0).max(1)
    undefined = (false[:, -1] == 0) | (true[:, -1] == 0)
    auroc[undefined] = ap[undefined] = f1[undefined] = np.nan
    return auroc, ap, f1


def _mixed_precision(alarms: Numbers, hits: Numbers, false: Numbers, true: Numbers) -> Numbers:
    """The mean precision over the new hits of a step, below which there are `false` and `true` ones (D, K)."""
    each = 1 + alarms / hits
    a, b = true + 0.5, true + 0.5 + false
    mixed: Numbers = 1 / each + (a - b / each) / each * np.log1p(each * hits / b) / hits
    return mixed


def _aupro(alarms: Numbers, shares: Numbers) -> Numbers:
    """AUPRO (D,) from the normal counts and the shares of the mean overlap at each step (D, K), by falling score."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.cumsum(alarms, axis=1) / alarms.sum(1, keepdims=True)
        start = np.minimum(rates - alarms / alarms.sum(1, keepdims=True), FPR_LIMIT)
        stop = np.minimum(rates, FPR_LIMIT)
        width = stop - start
        # A share that comes evenly over a step counts, on the mean, from the middle on; of a step across the limit
        # only what comes before it.
        whole = alarms / alarms.sum(1, keepdims=True)
        before = np.where(width > 0, width / np.where(whole > 0, whole, 1), (start < FPR_LIMIT).astype(float))
        area = (shares * before * (FPR_LIMIT - stop + width / 2)).sum(1)
    return np.where(np.isfinite(area), area / FPR_LIMIT, np.nan)
