"""Our exact pixel metrics against the usual ways to compute them, interleaved in one process.

Run: pytest benchmarks/perf/test_metrics.py -s
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from stackclip.benchmarks.metrics import FPR_LIMIT, PixelMetrics
from stackclip.ops.regions import label_regions, paint_regions

PICTURES, SIDE, ROUNDS = 16, 259, 5

Array = NDArray[Any]


def category() -> tuple[Array, Array]:
    """Smooth float32 maps and masks (B, H, W), about 2 % of the pixels anomalous, a quarter of the pictures normal."""
    draw = np.random.default_rng(0)
    maps, masks = np.empty((PICTURES, SIDE, SIDE), np.float32), np.zeros((PICTURES, SIDE, SIDE), bool)
    for index in range(PICTURES):
        maps[index] = ndimage.zoom(draw.normal(size=(37, 37)), SIDE / 37, order=1)
        for _ in range(2 if index % 4 else 0):
            y, x, height, width = *draw.integers(0, SIDE - 50, size=2), *draw.integers(15, 45, size=2)
            masks[index, y : y + height, x : x + width] = True
    return maps + masks, masks


MAPS, MASKS = category()
RUNS = [label_regions(mask) for mask in MASKS]  # labelled once for all methods, as in a store
REGIONS = [paint_regions(runs, (SIDE, SIDE)) for runs in RUNS]


def ours() -> dict[str, float]:
    metrics = PixelMetrics()
    for scores, runs in zip(MAPS, RUNS, strict=True):
        metrics.add(scores, runs)
    return dict(metrics.compute().values)


def sklearn_ranking() -> dict[str, float]:
    """AUROC, AP and F1-max by scikit-learn: three sorts of all pixels."""
    labels, scores = MASKS.reshape(-1), MAPS.reshape(-1)
    precision, recall, _ = precision_recall_curve(labels, scores)
    return {
        "pixel_AUROC": float(roc_auc_score(labels, scores)),
        "pixel_AP": float(average_precision_score(labels, scores)),
        "pixel_F1max": float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-30))),
    }


def aupro_of_all_pixels() -> dict[str, float]:
    """AUPRO as MVTec's evaluation goes about it: every pixel is a step of one sorted list."""
    shares, count = np.zeros(MAPS.size), 0
    for picture, regions in enumerate(REGIONS):
        areas = np.bincount(regions.reshape(-1))
        weights = np.append(0.0, 1 / areas[1:])
        shares[picture * SIDE**2 : (picture + 1) * SIDE**2] = weights[regions.reshape(-1)]
        count += areas.size - 1
    order = np.argsort(MAPS, axis=None)[::-1]
    scores = MAPS.reshape(-1)[order]
    last = np.append(scores[1:] != scores[:-1], True)  # of a run of ties
    normal = ~MASKS.reshape(-1)[order]
    rates = np.append(0, (np.cumsum(normal) / normal.sum())[last])
    overlap = np.append(0, (np.cumsum(shares[order]) / count)[last])
    inside = rates <= FPR_LIMIT
    x = np.append(rates[inside], FPR_LIMIT)
    y = np.append(overlap[inside], np.interp(FPR_LIMIT, rates, overlap))
    return {"pixel_AUPRO": float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / FPR_LIMIT)}


def aupro_of_200_masks() -> dict[str, float]:
    """The 200-threshold AUPRO as it is defined: 200 times all pixels are compared and all regions are read."""
    boxes = [ndimage.find_objects(regions.astype(int)) for regions in REGIONS]
    rates, overlaps = [], []
    for threshold in np.arange(MAPS.min(), MAPS.max(), (MAPS.max() - MAPS.min()) / np.float32(200)):
        positive = np.greater(MAPS, threshold)
        rates.append(np.count_nonzero(positive & ~MASKS) / np.count_nonzero(~MASKS))
        overlaps.append(
            np.mean([share for index in range(PICTURES) for share in _shares(index, boxes[index], positive)])
        )
    kept = np.array(rates) < FPR_LIMIT
    x, y = np.array(rates)[kept], np.array(overlaps)[kept]
    x = (x - x.min()) / (x.max() - x.min())
    return {"pixel_AUPRO_cflow200": float(-(np.diff(x) * (y[1:] + y[:-1]) / 2).sum())}


def _shares(index: int, boxes: Sequence[tuple[slice, slice]], positive: Array) -> list[float]:
    return [
        float(positive[index][box][REGIONS[index][box] == number].mean()) for number, box in enumerate(boxes, start=1)
    ]


@pytest.mark.parametrize("rival", [sklearn_ranking, aupro_of_all_pixels, aupro_of_200_masks])
def test_all_pixel_metrics_against(rival: Callable[[], dict[str, float]], benchmark: Any) -> None:
    assert {name: ours()[name] for name in rival()} == pytest.approx(rival(), abs=1e-9)
    rival_seconds = []

    def run_rival() -> None:
        start = perf_counter()
        rival()
        rival_seconds.append(perf_counter() - start)

    benchmark.pedantic(ours, setup=run_rival, rounds=ROUNDS)
    own, other = benchmark.stats.stats.median, float(np.median(rival_seconds))
    benchmark.extra_info["ns_per_pixel"] = 1e9 * own / MAPS.size
    benchmark.extra_info["rival_ns_per_pixel"] = 1e9 * other / MAPS.size
    benchmark.extra_info["times_faster"] = other / own
    print(
        f"\nall five metrics {1e9 * own / MAPS.size:.1f} ns a pixel, {rival.__name__} {1e9 * other / MAPS.size:.1f}: "
        f"{other / own:.1f} times faster"
    )
