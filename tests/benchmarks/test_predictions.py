"""What detectors say of single pictures: the scales of heat maps, and the files that are written."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from stackclip.benchmarks.predictions import Predicted, heat_scales, predict_all, write_predictions
from stackclip.benchmarks.runner import Bench
from stackclip.benchmarks.sheet import scale_of
from stackclip.registry import methods
from stackclip.types import CLS, MASK, Features, Prediction

SIDE = 56


class Ramp(nn.Module):
    """A method and detector in one: each map is a ramp that begins at a level of the picture's data set."""

    facts: dict[str, object] = {}  # noqa: RUF012 - read only
    levels = {"synthetic-training": 100.0, "synthetic-combinations": -100.0}  # noqa: RUF012 - read only

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def needs(self, tower: object) -> frozenset[object]:
        return frozenset({CLS})

    def begin(self, task: object) -> Ramp:
        return self

    def step(self, features: Features) -> dict[str, float]:
        return {"loss": 1.0}

    def remember(self, category: str, features: Features) -> None:
        pass

    def predict(self, features: Features) -> Prediction:
        assert MASK not in features.parts
        levels = torch.tensor([self.levels[sample.dataset] for sample in features.samples])
        maps = levels[:, None, None] + torch.arange(float(SIDE * SIDE)).reshape(SIDE, SIDE)
        return Prediction(features[CLS][:, 0], maps)

    def settle(self, scores: torch.Tensor, peaks: torch.Tensor | None) -> torch.Tensor:
        return scores


@pytest.fixture
def ramps(bench: Callable[..., Bench], small: Any) -> Bench:
    """A bench of two methods with the same maps, of which one trains."""
    methods.register("trained")(type("Trained", (Ramp,), {"__init__": lambda self: Ramp.__init__(self, 1)}))
    methods.register("untrained")(type("Untrained", (Ramp,), {"__init__": lambda self: Ramp.__init__(self, 0)}))
    return bench(small.plan("trained", "untrained", "clip", epochs=None))


def predicted(bench: Bench) -> tuple[dict[str, Any], list[Predicted]]:
    detectors = bench.detectors(0)
    [tested] = bench.plan.test_on
    return detectors, predict_all(bench, detectors, tested.select(split="test").samples)


def test_a_scale_is_from_training_pictures_or_from_those_predicted_where_nothing_was_trained(ramps: Bench) -> None:
    detectors, predictions = predicted(ramps)
    scales = heat_scales(ramps, detectors, predictions)
    assert set(scales) == {"trained", "untrained"}  # clip has no maps
    shown = np.stack([each.maps["untrained"] for each in predictions])
    assert (scales["untrained"].cold, scales["untrained"].hot) == tuple(np.percentile(shown, (90, 99.8)))
    assert scales["trained"].hot == pytest.approx(scales["untrained"].hot + 200)
    assert 100 < scales["trained"].cold < 100 + SIDE * SIDE  # of normal pixels, so it depends on the masks


def test_predicted_pictures_do_not_move_the_scale_of_a_method_that_trained(ramps: Bench) -> None:
    detectors, predictions = predicted(ramps)
    every, one = (heat_scales(ramps, detectors, some)["trained"] for some in (predictions, predictions[:1]))
    assert every == one


def test_scores_are_ranked_and_each_picture_stands_beside_its_heat_map(ramps: Bench, tmp_path: Path) -> None:
    detectors, predictions = predicted(ramps)
    lines = list(write_predictions(predictions, heat_scales(ramps, detectors, predictions), tmp_path))
    count = len(predictions)
    trained, untrained, clip = (f"{count} pictures in {tmp_path / name}" for name in ("trained", "untrained", "clip"))
    said = "on the scale of these, as it does not train: the brightest may be normal"
    assert lines == [
        f"trained: scores and heat maps of {trained}, on the scale of training pictures",
        f"untrained: scores and heat maps of {untrained}, {said}",
        f"clip: scores of {clip}",
    ]
    rows = list(csv.DictReader((tmp_path / "untrained" / "scores.csv").read_text().splitlines()))
    scores = {each.sample.id: each.scores["untrained"] for each in predictions}
    assert [row["picture"] for row in rows] == sorted(scores, key=lambda name: -scores[name])
    assert {row["map_maximum"] for row in rows} == {str(SIDE * SIDE - 101.0)}
    pictures = sorted((tmp_path / "untrained").glob("*.png"))
    assert len(pictures) == count
    pixels = np.asarray(Image.open(pictures[0]))
    assert pixels.shape == (SIDE, 2 * SIDE, 3)
    assert pixels[0, SIDE].tolist() == [0, 0, 4]  # the coldest colour where the ramp begins
    assert pixels[-1, -1].tolist() == [252, 255, 164]  # and the hottest where it ends


def test_the_scale_of_many_pictures_is_that_of_an_even_part_of_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    maps, masks = draw.random((40, SIDE, SIDE)), draw.random((40, SIDE, SIDE)) < 0.1
    whole = scale_of(list(maps), list(masks))
    monkeypatch.setattr("stackclip.benchmarks.sheet.PIXELS", maps.size // 10)
    part = scale_of(list(maps), list(masks))
    assert part != whole
    assert (part.cold, part.hot) == pytest.approx((whole.cold, whole.hot), abs=0.01)
