"""Our pixel metrics, exact and streamed, against the usual ways to compute them, interleaved in one process.

The maps and masks are as many and as large as those of a category of MVTec AD: 83 of 518 x 518, 2 % anomalous. Regions
are labelled before the clock runs for us, as a store holds them, and by each peer where it does so itself.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from stackclip.metrics import FPR_LIMIT, PixelMetrics, StreamedPixelMetrics, bins
from stackclip.ops.regions import label_regions

SIDE, PICTURES = 518, 83
EIGHT = np.ones((3, 3), int)
NOTE = f"{PICTURES} maps of {SIDE} x {SIDE}"

Array = NDArray[Any]
Values = dict[str, float]


@cache
def category() -> tuple[Array, Array, list[Array]]:
    """Smooth float32 maps and masks (B, H, W), about 2 % of the pixels anomalous, a quarter of the pictures normal."""
    draw = np.random.default_rng(0)
    maps, masks = np.empty((PICTURES, SIDE, SIDE), np.float32), np.zeros((PICTURES, SIDE, SIDE), bool)
    for index in range(PICTURES):
        maps[index] = ndimage.zoom(draw.normal(size=(37, 37)), SIDE / 37, order=1)
        for _ in range(2 if index % 4 else 0):
            y, x, height, width = *draw.integers(0, SIDE - 100, size=2), *draw.integers(30, 90, size=2)
            masks[index, y : y + height, x : x + width] = True
    maps = 1 / (1 + np.exp(-(maps + masks)))
    return maps.astype(np.float32), masks, [label_regions(mask) for mask in masks]


def measured(kind: type[PixelMetrics | StreamedPixelMetrics], pictures: int = PICTURES) -> Values:
    maps, _, runs = category()
    metrics = kind()
    for index in range(pictures):
        metrics.add(maps[index], runs[index])
    return dict(metrics.compute().values)


def exact(pictures: int = PICTURES) -> Values:
    return measured(PixelMetrics, pictures)


def streamed(pictures: int = PICTURES) -> Values:
    return measured(StreamedPixelMetrics, pictures)


def mvtec() -> Values:
    """AUPRO as MVTec's evaluation goes about it: every pixel is a step of one list, sorted through its indices."""
    maps, masks, _ = category()
    alarms, shares = np.zeros(maps.shape, np.uint32), np.zeros(maps.shape)
    normal = count = 0
    for index, mask in enumerate(masks):
        regions, found = ndimage.label(mask, EIGHT)
        alarms[index][regions == 0] = 1
        normal += np.count_nonzero(regions == 0)
        for region in range(1, found + 1):
            inside = regions == region
            shares[index][inside] = 1 / np.count_nonzero(inside)
        count += found
    order = np.argsort(maps.ravel()).astype(np.uint32)[::-1]
    scores = maps.ravel()[order]
    rates = np.cumsum(alarms.ravel()[order]) / normal
    overlap = np.cumsum(shares.ravel()[order]) / count
    last = np.append(np.diff(scores) != 0, True)  # of a run of ties
    rates, overlap = np.append(0, rates[last]), np.append(0, np.clip(overlap[last], None, 1))
    x = np.append(rates[rates <= FPR_LIMIT], FPR_LIMIT)
    y = np.append(overlap[rates <= FPR_LIMIT], np.interp(FPR_LIMIT, rates, overlap))
    return {"pixel_AUPRO": float(np.trapezoid(y, x) / FPR_LIMIT)}


def script(pictures: int) -> Values:
    """The 200-threshold AUPRO as the usual script goes about it: at each threshold every mask is labelled and read."""
    maps, masks = category()[0][:pictures], category()[1][:pictures].astype(np.float32)
    rates, overlaps = [], []
    positive = np.zeros(maps.shape, bool)
    for threshold in np.arange(maps.min(), maps.max(), (maps.max() - maps.min()) / np.float32(200)):
        positive[maps <= np.float64(threshold)] = False
        positive[maps > np.float64(threshold)] = True
        shares = []
        for index, mask in enumerate(masks):
            regions, _ = ndimage.label(mask, EIGHT)
            for number, box in enumerate(ndimage.find_objects(regions), start=1):
                rows, columns = np.nonzero(regions[box] == number)
                shares.append(positive[index][box][rows, columns].sum() / rows.size)
        overlaps.append(np.mean(shares))
        inverse = 1 - masks
        rates.append(np.logical_and(inverse, positive).sum() / inverse.sum())
    kept = np.array(rates) < FPR_LIMIT
    x, y = np.array(rates)[kept], np.array(overlaps)[kept]
    x = (x - x.min()) / (x.max() - x.min())
    return {"pixel_AUPRO_cflow200": float(-np.trapezoid(y, x))}


def sklearn(pictures: int) -> Values:
    """AUROC, AP and F1-max by scikit-learn: three sorts of all pixels."""
    scores, labels = (array[:pictures].reshape(-1) for array in category()[:2])
    precision, recall, _ = precision_recall_curve(labels, scores)
    return {
        "pixel_AUROC": float(roc_auc_score(labels, scores)),
        "pixel_AP": float(average_precision_score(labels, scores)),
        "pixel_F1max": float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-30))),
    }


def agree(found: Values, wanted: Values, within: float) -> None:
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=within)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where numba is not installed."""
    monkeypatch.setattr(bins, "compiled", lambda: None)
    return


def test_the_exact_form_against_mvtec(race: Any, figure: Any) -> None:
    agree(exact(), mvtec(), 1e-7)
    outcome = race(exact, mvtec, rounds=5)
    pixels = category()[0].size
    figure("exact pixel metrics, all five, than MVTec's AUPRO alone", outcome.ratio, goal=">= 15", note=NOTE)
    figure("exact pixel metrics, time", 1e9 * outcome.ours / pixels, unit="ns a pixel")
    figure("MVTec's AUPRO, time", 1e9 * outcome.peer / pixels, unit="ns a pixel")


def test_the_exact_form_against_scikit_learn(race: Any, figure: Any) -> None:
    agree(exact(12), sklearn(12), 1e-9)
    outcome = race(lambda: exact(12), lambda: sklearn(12), rounds=3)
    note = f"12 maps of {SIDE} x {SIDE}"
    figure("exact pixel metrics, all five, than three of scikit-learn", outcome.ratio, note=note)


def test_the_exact_form_against_a_loop_over_200_thresholds(race: Any, figure: Any) -> None:
    agree(exact(12), script(12), 1e-12)
    outcome = race(lambda: exact(12), lambda: script(12), rounds=3)
    note = f"12 maps of {SIDE} x {SIDE}, the other four metrics included"
    figure("200-threshold AUPRO than the loop over thresholds and regions", outcome.ratio, goal=">= 300", note=note)


def test_the_streamed_form_against_mvtec(race: Any, figure: Any) -> None:
    pytest.importorskip("numba")
    agree(streamed(), exact(), 1e-5)
    outcome = race(streamed, mvtec, rounds=7)
    name = "streamed pixel metrics with numba, all five, than MVTec's AUPRO alone"
    figure(name, outcome.ratio, goal=">= 100", note=NOTE)
    figure("streamed pixel metrics with numba, time", 1e9 * outcome.ours / category()[0].size, unit="ns a pixel")


def test_the_streamed_form_without_numba_against_mvtec(race: Any, figure: Any, plain: None) -> None:
    agree(streamed(), exact(), 1e-5)
    outcome = race(streamed, mvtec, rounds=7)
    name = "streamed pixel metrics with numpy, all five, than MVTec's AUPRO alone"
    figure(name, outcome.ratio, goal=">= 30", note=NOTE)


def test_the_streamed_form_against_adeval(race: Any, figure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # which adeval 1.1 still calls so
    adeval = pytest.importorskip("adeval")
    maps, masks, _ = category()
    targets = masks.astype(np.uint8)

    def peer() -> Values:
        found = adeval.auroc_aupr_aupro(maps, targets)
        return dict(zip(("pixel_AUROC", "pixel_AP", "pixel_AUPRO"), found, strict=True))

    agree(streamed(), peer(), 1e-3)
    outcome = race(streamed, peer, rounds=7)
    figure("streamed pixel metrics with numba, all five, than three of adeval", outcome.ratio, goal=">= 8", note=NOTE)


@pytest.mark.parametrize("form", [exact, streamed])
def test_the_memory_of_a_form(form: Callable[[], Values], figure: Any) -> None:
    form()
    tracemalloc.start()
    form()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if form is exact:
        figure("exact pixel metrics, memory at the peak", peak / category()[0].size, goal="<= 10", unit="B a pixel")
    else:
        figure("streamed pixel metrics, memory at the peak", peak / 2**20, goal="<= 64", unit="MiB", note=NOTE)


def test_the_error_of_the_streamed_form(figure: Any) -> None:
    maps, _, runs = category()
    metrics = StreamedPixelMetrics()
    for scores, regions in zip(maps, runs, strict=True):
        metrics.add(scores, regions)
    found, wanted = metrics.compute(), exact()
    error = max(abs(found.values[name] - value) for name, value in wanted.items())
    assert error <= found.bound
    figure("streamed pixel metrics, largest error", error, goal="<= 1e-5", unit="", note=NOTE)
    figure("streamed pixel metrics, largest bound of the error", found.bound, goal="<= 1e-5", unit="", note=NOTE)
