"""CoCoOp by itself: gradients, a training that is stopped, what it says, and what it refuses."""

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
from stackclip.methods.cocoop import rate_of
from stackclip.types import CLS, Features


def test_the_gradient_is_the_slope_of_the_loss_in_float64() -> None:
    tower = random_tower(image_size=32)
    tower.model.double()
    text = tower.text
    detector: Any = resolve("cocoop").begin(replace(task_of(), text=text))
    detector.double()
    features = features_of(frozenset({CLS}), CATEGORIES)
    batch = Features(features.samples, {CLS: features[CLS].double()})
    detector.loss(batch).backward()
    for parameter in detector.prompts.parameters():
        place = int(parameter.grad.abs().argmax())
        slope, step = parameter.grad.flatten()[place].item(), 1e-5
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[place] += sign * step
                ends.append(detector.loss(batch).item())
                parameter.view(-1)[place] -= sign * step
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_stopped_training_goes_on_with_the_same_digits(goes_on: Any, stop: int) -> None:
    goes_on("cocoop[epochs=4]", features_of(frozenset({CLS}), CATEGORIES).rows(0, 2), stop, epochs=4, size=1)


def test_the_category_of_each_picture_stands_in_its_prompts() -> None:
    detector: Any = resolve("cocoop[class_names=spaced]").begin(task_of())
    features = features_of(frozenset({CLS}), ("metal_nut", "bottle"))
    together = detector.predict(features).scores
    alone = torch.cat([detector.predict(features.rows(row, row + 1)).scores for row in range(len(features))])
    torch.testing.assert_close(together, alone)
    renamed = Features(tuple(replace(each, category="zipper") for each in features.samples), features.parts)
    assert not torch.allclose(detector.predict(renamed).scores, together)


def test_the_rates_follow_the_epochs_that_there_are() -> None:
    assert rate_of(0, 5, lr=1.0) == 1e-5
    assert rate_of(1, 5, lr=1.0) == 1.0
    assert rate_of(4, 6, lr=1.0) == pytest.approx(0.5)


def test_it_says_how_it_trains() -> None:
    detector = resolve("cocoop").begin(task_of())
    assert detector.stages == (Stage("prompts", 10, 1),)
    assert detector.facts["schedule"] == {"prompts": {"epochs": 10, "lr": 2e-3, "batch": 1, "steps": 60}}
    json.dumps(dict(detector.facts))
    assert resolve("cocoop[epochs=0]").begin(task_of()).stages == ()


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("cocoop[context=0]", BadOption, "context=0"),
        ("cocoop[scale=0]", BadOption, "scale=0"),
        ("cocoop[lr=0]", BadOption, "lr=0"),
        ("cocoop[class_names=other]", UsageError, "no class names 'other'"),
    ],
)
def test_options_that_cannot_be_are_refused(spec: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        resolve(spec)


def test_tasks_that_it_cannot_do_are_refused() -> None:
    with pytest.raises(NotApplicable, match="text tower"):
        resolve("cocoop").begin(task_of(text=None))
    with pytest.raises(BadOption, match="begin_as=noise"):
        resolve("cocoop[context=6]").begin(task_of())
    crowded: Any = resolve("cocoop[context=74,begin_as=noise]").begin(task_of())
    with pytest.raises(NotApplicable, match=f"reads {trial_tower().context_length}"):
        crowded.predict(features_of(frozenset({CLS}), CATEGORIES[:1]))
