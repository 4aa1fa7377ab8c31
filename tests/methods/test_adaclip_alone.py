"""AdaCLIP by itself: gradients, a training that is stopped, what it says, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from stackclip.clip import random_tower
from stackclip.contracts.trial import CATEGORIES, features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable, UsageError
from stackclip.methods import Stage, resolve
from stackclip.methods.adaclip import START
from stackclip.types import CLS, Features


def test_a_gradient_is_the_slope_of_the_loss_in_float64() -> None:
    tower = random_tower(image_size=32)
    tower.model.double()
    image, text = tower.image, tower.text
    given: Any = {"text": text, "image": image}
    detector: Any = resolve("adaclip[clusters=2]").begin(replace(task_of(), **given))
    features = features_of(frozenset({START, CLS}), CATEGORIES[:1])
    batch = Features(features.samples, {part: tensor.double() for part, tensor in features.parts.items()})
    detector.loss(batch)["loss"].backward()
    for name in (
        "vision.static.0",
        "text.static.1",
        "vision.dynamic.weight",
        "text.dynamic.weight",
        "patches.2.weight",
    ):
        parameter = dict(detector.learned.named_parameters())[name]
        assert parameter.dtype == torch.float64
        place = int(parameter.grad.abs().argmax())
        slope, step, ends = parameter.grad.flatten()[place].item(), 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[place] += sign * step
                ends.append(detector.loss(batch)["loss"].item())
                parameter.view(-1)[place] -= sign * step
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=1e-4), name


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_training_goes_on_with_the_same_digits(goes_on: Any, stop: int) -> None:
    goes_on("adaclip[epochs=3]", features_of(frozenset({START, CLS}), CATEGORIES[:1]), stop, epochs=3, size=1)


def test_the_dice_loss_of_rows_is_another_and_that_of_pictures_does_not_depend_on_the_batch() -> None:
    features = features_of(frozenset({START, CLS}), CATEGORIES[:1])
    rows, pictures = (resolve(f"adaclip[dice={way}]").begin(task_of()) for way in ("rows", "picture"))
    together = pictures.loss(features)
    assert not torch.isclose(rows.loss(features)["dice"], together["dice"], rtol=1e-3)
    alone = [pictures.loss(features.rows(row, row + 1)) for row in range(2)]
    for name, term in together.items():
        torch.testing.assert_close(torch.stack([each[name] for each in alone]).mean(), term)


def test_it_says_how_it_trains() -> None:
    detector = resolve("adaclip").begin(task_of())
    assert detector.stages == (Stage("prompts", 5, 1),)
    assert detector.facts["schedule"] == {"prompts": {"epochs": 5, "lr": 1e-2, "batch": 1, "steps": 30}}
    assert detector.facts["released_positions"] == "bicubic"
    json.dumps(dict(detector.facts))
    assert resolve("adaclip[epochs=0]").begin(task_of()).stages == ()


def test_layers_that_a_tower_does_not_have_get_no_tokens() -> None:
    detector: Any = resolve("adaclip[depth=99]").begin(task_of())
    spec = trial_tower().spec
    assert detector.learned.vision.layers == tuple(range(1, spec.depth + 1))
    assert detector.learned.text.layers == tuple(range(2, trial_tower().text.text_depth + 1))
    said = detector.predict(features_of(frozenset({START, CLS}), CATEGORIES[:1]))
    assert said.maps.isfinite().all()


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("adaclip[length=0]", BadOption, "length=0"),
        ("adaclip[depth=0]", BadOption, "depth=0"),
        ("adaclip[clusters=0]", BadOption, "clusters=0"),
        ("adaclip[share=1.5]", BadOption, "share=1.5"),
        ("adaclip[sigma=-1]", BadOption, "sigma=-1"),
        ("adaclip[lr=0]", BadOption, "lr=0"),
        ("adaclip[class_names=other]", UsageError, "no class names 'other'"),
    ],
)
def test_options_that_cannot_be_are_refused(spec: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        resolve(spec)


def test_tasks_that_it_cannot_do_are_refused() -> None:
    for lacking in ("text", "image"):
        nothing: Any = {lacking: None}
        with pytest.raises(NotApplicable, match="both towers"):
            resolve("adaclip").begin(task_of(**nothing))
    crowded: Any = resolve("adaclip[length=30]").begin(task_of())
    with pytest.raises(NotApplicable, match="length=30 tokens would take the place of a whole prompt"):
        crowded.predict(features_of(frozenset({START, CLS}), CATEGORIES[:1]))
