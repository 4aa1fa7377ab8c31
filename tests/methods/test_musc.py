"""MuSc against outputs of its released code on small random towers, from the pictures to its scores and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import task_of
from stackclip.methods import resolve
from stackclip.methods.musc import described, rescored
from stackclip.metrics import PixelMetrics, image_metrics
from stackclip.ops.maps import unit
from stackclip.ops.regions import label_regions
from stackclip.types import CLS, Features, Sample

SIDES = (1, 3, 5)
MEASURED = ("image_AUROC", "image_F1max", "image_AP", "pixel_AUROC", "pixel_F1max", "pixel_AP", "pixel_AUPRO_cflow200")


@dataclass(frozen=True)
class Released:
    """One case of the released code, and what our tower with its weights gives of its twelve pictures."""

    stored: Any
    tower: Tower
    features: Features
    masks: Tensor  # (12, S, S)

    def detector(self, options: str = "") -> Any:
        return resolve(f"musc{options}").begin(replace(task_of(("bottle",)), tower=self.tower.spec))

    def tested(self, count: int = 12, size: int = 5) -> Callable[[], Iterator[Features]]:
        return lambda: (self.features.rows(start, min(start + size, count)) for start in range(0, count, size))

    def surveyed(self, options: str = "") -> Any:
        detector = self.detector(options)
        detector.survey(self.tested())
        return detector


def seen(pictures: Tensor, views: np.ndarray) -> Tensor:
    """The pictures (5, ..., S, S) of the rows (source, horizontal flip, vertical flip)."""
    turned = []
    for source, across, down in views:
        axes = [axis for axis, flipped in ((-1, across), (-2, down)) if flipped]
        turned.append(pictures[source].flip(axes) if axes else pictures[source])
    return torch.stack(turned)


@pytest.fixture(scope="module", params=["t24s_112_gelu", "t12m_160_gelu"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    case = golden(f"musc_{request.param}")
    tower, views = case.tower("bicubic"), case.stored.given("views")
    pictures = seen(torch.cat([case.images, case.shots]), views)
    shots = torch.zeros(2, *case.masks.shape[1:])
    masks = seen(torch.cat([case.masks, shots]), views)
    labels = case.stored.given("picture_labels").tolist()
    assert [int(mask.any()) for mask in masks] == labels
    samples = tuple(
        Sample(f"{n}.png", "golden", "bottle", "test", Path("x.png"), None, label, "hole")
        for n, label in enumerate(labels)
    )
    taps = tuple(case.config["taps"])
    assert tower.spec.layers == taps
    with torch.inference_mode():
        parts = tower.encode(pictures, [*tower.spec.taps, CLS])
    return Released(case.stored, tower, Features(samples, parts), masks)


def close(found: Tensor, stored: Any, *, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(found.numpy(), stored, atol=atol, rtol=0)


def test_patches_and_class_tokens_are_described_as_released(released: Released) -> None:
    layers = released.tower.spec.layers
    for side in SIDES:
        for tap in (layers[0], layers[-1]):
            found = described(released.features[released.tower.spec.taps[layers.index(tap)]][:2], side)
            close(found, released.stored[f"features_r{side}_tap{tap}_first2"])
    close(unit(released.features[CLS]), released.stored["cls_unit"])


@pytest.mark.parametrize("room", [4.0, 1e-5])
def test_patches_score_as_released_however_few_are_held_at_a_time(released: Released, room: float) -> None:
    found = released.detector(f"[room={room}]").levels(released.tested(), 12)
    for tap, of_tap in zip(released.tower.spec.layers, found.unflatten(0, (-1, len(SIDES))), strict=True):
        for side, scores in zip(SIDES, of_tap, strict=True):
            close(scores, released.stored[f"scores_r{side}_tap{tap}"])
    close(found.mean(0), released.stored["scores_mean"])


def test_other_intervals_are_the_released_ones(released: Released) -> None:
    last = released.tower.spec.layers[-1]
    for interval, name in (("0.1+0.6", "10_60"), ("0.0+1.0", "all")):
        found = released.detector(f"[sides=3,interval={interval}]").levels(released.tested(), 12)
        close(found[-1], released.stored[f"scores_r3_last_{name}"])
    close(released.detector("[sides=3]").levels(released.tested(5), 5)[-1], released.stored["scores_first5_r3_last"])
    assert released.stored.given("scores_first4_r3_last").tolist() == [[-1] * len(found[-1][0])] * 4, "NaN as released"
    assert released.detector().levels(released.tested(4), 4).isfinite().all()
    del last


def test_maps_and_image_scores_are_the_released_ones(released: Released) -> None:
    stored, detector = released.stored, released.surveyed()
    prediction = detector.predict(released.features)
    close(prediction.maps[:, ::4, ::4], stored["maps"])
    close(prediction.maps[0], stored["map_full0"])
    close(prediction.maps.amax((1, 2)), stored["score_max"])
    close(prediction.scores, stored["image_scores_mvtec_ad"])
    close(released.surveyed("[k=1+8+9]").predict(released.features).scores, stored["image_scores_visa"])
    peaks, tokens = prediction.maps.amax((1, 2)), unit(released.features[CLS])
    for name in ("1", "2", "3", "1_2_3", "1_8_9", "2_3", "0"):
        close(rescored(peaks, tokens, tuple(map(int, name.split("_")))), stored[f"rscin_k{name}"])


@pytest.mark.parametrize(("options", "name"), [("", "mvtec_ad"), ("[k=1+8+9]", "visa")])
def test_its_metrics_are_the_released_ones(released: Released, options: str, name: str) -> None:
    prediction, measured = released.surveyed(options).predict(released.features), PixelMetrics()
    for scores, mask in zip(prediction.maps, released.masks, strict=True):
        measured.add(scores.numpy(), label_regions(mask.numpy()))
    values = {**image_metrics(prediction.scores.numpy(), released.features.labels).values, **measured.compute().values}
    np.testing.assert_allclose([values[each] for each in MEASURED], released.stored[f"metrics_{name}"], atol=2e-3)
