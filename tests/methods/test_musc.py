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
from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import PHASES, resolve
from stackclip.methods.musc import normed_patches, rescored
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
            found = normed_patches(
                released.features[released.tower.spec.taps[layers.index(tap)]][:2], side, released.tower.spec.frame.grid
            )
            close(found, released.stored[f"features_r{side}_tap{tap}_first2"])
    close(unit(released.features[CLS]), released.stored["cls_unit"])


@pytest.mark.parametrize("room", [4.0, 1e-5])
def test_patches_score_as_released_however_few_are_held_at_a_time(released: Released, room: float) -> None:
    found = released.detector(f"[room={room}]").levels(released.tested(), 12)
    for tap, of_tap in zip(released.tower.spec.layers, found.unflatten(0, (-1, len(SIDES))), strict=True):
        for side, scores in zip(SIDES, of_tap, strict=True):
            close(scores, released.stored[f"scores_r{side}_tap{tap}"])
    close(found.mean(0), released.stored["scores_mean"])


@pytest.mark.parametrize(("room", "reads"), [(4.0, 1), (1e-5, 4 * len(SIDES) * 12)])
def test_tested_pictures_are_read_once_where_there_is_room(released: Released, room: float, reads: int) -> None:
    tested, counted = released.tested(), []
    released.detector(f"[room={room}]").levels(lambda: counted.append(1) or tested(), 12)
    assert len(counted) == reads


def test_other_intervals_are_the_released_ones(released: Released) -> None:
    for interval, name in (("0.1+0.6", "10_60"), ("0.0+1.0", "all")):
        found = released.detector(f"[sides=3,interval={interval}]").levels(released.tested(), 12)
        close(found[-1], released.stored[f"scores_r3_last_{name}"])
    close(released.detector("[sides=3]").levels(released.tested(5), 5)[-1], released.stored["scores_first5_r3_last"])
    assert released.stored.given("scores_first4_r3_last").tolist() == [[-1] * len(found[-1][0])] * 4, "NaN as released"
    assert released.detector().levels(released.tested(4), 4).isfinite().all()


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


def pictures(count: int = 6, seed: int = 0) -> Features:
    """Pictures of one category with all that it reads of them."""
    parts = resolve("musc").needs(trial_tower().spec, "survey")
    return features_of(parts, ("bottle",) * (count // 2), seed=seed)


def surveyed(features: Features, spec: str = "musc", size: int = 2) -> Any:
    detector = resolve(spec).begin(task_of())
    starts = range(0, len(features), size)
    detector.survey(lambda: (features.rows(start, start + size) for start in starts))
    return detector


def test_of_nothing_but_a_survey_it_reads_anything() -> None:
    method, spec = resolve("musc"), trial_tower().spec
    assert {phase: method.needs(spec, phase) for phase in PHASES} == {
        **dict.fromkeys(PHASES, frozenset()),
        "survey": frozenset({*spec.taps, CLS}),
    }


@pytest.mark.parametrize("match", ["any", "same-place"])
def test_patches_score_as_in_a_loop_over_pictures(match: str) -> None:
    features = pictures()
    detector = resolve(f"musc[sides=3,interval=0.0+0.5,match={match}]").begin(task_of())
    found = detector.levels(lambda: iter((features,)), len(features))
    for tap, scores in zip(trial_tower().spec.taps, found, strict=True):
        tokens = normed_patches(features[tap], 3, trial_tower().spec.frame.grid)
        for index, own in enumerate(tokens):
            apart = []
            for other in [each for place, each in enumerate(tokens) if place != index]:
                every = torch.cdist(own, other)
                apart.append(every.amin(1) if match == "any" else every.diagonal())
            wanted = torch.stack(apart).sort(0).values[:2].mean(0)  # int(.5 * 5) of five
            torch.testing.assert_close(scores[index], wanted, atol=1e-4, rtol=0)


def test_what_it_predicts_depends_on_who_else_is_tested_and_on_no_order_of_batches() -> None:
    features = pictures()
    one, other = (surveyed(features, size=size).predict(features) for size in (1, 6))
    torch.testing.assert_close(one.scores, other.scores)
    torch.testing.assert_close(one.maps, other.maps)
    fewer = surveyed(features.rows(0, 4)).predict(features.rows(0, 4))
    assert not torch.allclose(fewer.maps, other.maps[:4])


def test_equal_pictures_are_at_no_distance() -> None:
    one = pictures(2)
    twin = tuple(replace(sample, id=f"twin-{sample.id}") for sample in one.samples)
    both = Features((*one.samples, *twin), {part: torch.cat([each, each]) for part, each in one.parts.items()})
    assert surveyed(both).predict(both).maps.abs().max() < 1e-6


def test_too_few_too_many_and_unknown_pictures_are_named() -> None:
    features = pictures()
    with pytest.raises(NotApplicable, match="by each other, and there is 1: give it at least 2"):
        surveyed(features.rows(0, 1))
    with pytest.raises(NotApplicable, match="k=7 of 6 pictures"):
        surveyed(features, "musc[k=7]")
    with pytest.raises(NotApplicable, match="more than room=1e-07 GB"):
        surveyed(features, "musc[room=1e-7]")
    with pytest.raises(NotApplicable, match="was not among those it surveyed"):
        surveyed(features.rows(0, 4)).predict(features)


@pytest.mark.parametrize("options", ["sides=2", "interval=0.5+0.1", "interval=0.3", "k=0+1", "room=0.0"])
def test_numbers_that_cannot_be_are_refused(options: str) -> None:
    with pytest.raises(BadOption, match=options.partition("=")[0]):
        resolve(f"musc[{options}]")
