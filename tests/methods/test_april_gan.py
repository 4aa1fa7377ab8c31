"""APRIL-GAN's method against outputs of its released code on small random towers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.heads import Projections
from stackclip.methods import Moment, PromptedDetector, Task, resolve
from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.ops.maps import anomaly_logits, unit
from stackclip.prompts import CPE
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Sample, TowerSpec, patch

CASES = ("t12m_112_quick_gelu", "t12m_160_gelu", "t12s_112_gelu", "t12s_160_quick_gelu")
CATEGORIES = ("zeroth", "first", "second")  # picture b is of the b-th category


@dataclass(frozen=True)
class Released:
    """One case of the released code: given tokens, anchors and weights, and what came of them."""

    stored: Any
    tower: TowerSpec
    anchors: Tensor  # (3, 2, D)
    masks: Tensor  # (3, S, S)

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.stored[name]))

    def given(self, name: str) -> Tensor:
        return torch.from_numpy(self.stored.given(name))

    def head(self, prefix: str) -> dict[str, Tensor]:
        """The given linear layers, the names of their weights behind `prefix`."""
        names = [name for name in self.stored if name.startswith("head.fc.")]
        return {name.replace("head.fc", prefix): self.given(name) for name in names}

    def features(self, categories: Sequence[str], *, prefix: str = "") -> Features:
        """The tapped tokens without their class token, and the class token's joint feature."""
        parts = {patch(layer): self.given(f"{prefix}tap{layer}")[:, 1:] for layer in self.tower.layers}
        if not prefix:
            parts |= {CLS: self.given("cls"), MASK: self.masks}
        samples = tuple(
            Sample(f"{name}/{index}.png", "golden", name, "test", Path("x.png"), None, ANOMALOUS, "hole")
            for index, name in enumerate(categories)
        )
        return Features(samples, parts)


@pytest.fixture(scope="module", params=CASES)
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    given = golden(f"aprilgan_{request.param}")
    side, (joint, width) = given.config["image_size"], given.stored.given("head.fc.0.weight").shape
    tower = TowerSpec(request.param, side, side // 16, 12, width, joint, tuple(given.config["taps"]))
    return Released(given.stored, tower, given.anchors, given.masks)


@dataclass(frozen=True)
class Given:
    """A text tower that knows the given anchors and nothing else."""

    anchors: Tensor
    context_length: int = 77

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        return torch.stack([self._feature(phrase) for phrase in phrases])

    def _feature(self, phrase: str) -> Tensor:
        index, name = next((i, name) for i, name in enumerate(CATEGORIES) if name in phrase)
        return self.anchors[index, NORMAL if phrase in CPE.phrases(name, NORMAL) else ANOMALOUS]

    def count_tokens(self, phrase: str) -> int:
        return 2 + len(phrase.split())

    def class_means(self, categories: Sequence[str]) -> Tensor:
        raise AssertionError("precise prompts ask for no pictures")


def begin(released: Released, *, shots: int = 0) -> PromptedDetector:
    """The method `april-gan` with the given head, trained as on VisA."""
    task = Task(
        tower=released.tower,
        encode=Given(released.anchors),
        categories=CATEGORIES,
        train_on=("visa",),
        seed=0,
        device=torch.device("cpu"),
        shots=shots,
    )
    detector = resolve("april-gan").begin(task)
    detector.load_state_dict(released.head("head.fc.0"), strict=True)
    return detector


def test_linear_layers_give_the_released_tokens_and_maps(released: Released):
    head = Projections(released.tower, 1, seed=0)
    head.load_state_dict(released.head("fc.0"))
    features, side = released.features(CATEGORIES), released.tower.image_size
    anchors = released.anchors[:1].expand(3, -1, -1)
    for index, (part, linear) in enumerate(zip(released.tower.taps, head.fc[0], strict=True)):
        tokens = linear(features[part])
        torch.testing.assert_close(tokens, released[f"head_out{index}"], atol=1e-4, rtol=0)
        logits = 100 * unit(tokens) @ released.anchors[0].mT
        torch.testing.assert_close(logits, released[f"logits{index}_c0"], atol=1e-3, rtol=0)
        probability = torch.sigmoid(anomaly_logits(tokens, anchors, side))
        torch.testing.assert_close(probability[:, ::4, ::4], released[f"map{index}_c0"], atol=1e-3, rtol=0)


def test_each_layer_costs_what_it_costs_in_the_released_code(released: Released):
    head = begin(released).head
    features = released.features(CATEGORIES)
    for index, (part, linear) in enumerate(zip(released.tower.taps, head.fc[0], strict=True)):
        logits = anomaly_logits(linear(features[part]), released.anchors, released.tower.image_size)
        focal = focal_loss(logits, released.masks)
        dice = dice_loss(torch.sigmoid(logits), released.masks)
        assert focal.item() == pytest.approx(released["train_focal_per_layer"][index].item(), rel=1e-4, abs=1e-5)
        assert dice.item() == pytest.approx(released["train_dice_per_layer"][index].item(), rel=1e-4, abs=1e-5)


def test_one_training_step_has_the_released_loss_gradients_and_weights(released: Released, at: Callable[..., Moment]):
    detector = begin(released)
    loss = detector.step(released.features(CATEGORIES), at(detector))["loss"]
    assert loss == pytest.approx(released["train_loss"].item(), rel=1e-4)
    for name, parameter in detector.named_parameters():
        own = name.removeprefix("head.fc.0.")
        gradient = released[f"grad.fc.{own}"]
        scale = float(gradient.abs().max())
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-3 * scale, rtol=1e-3)
        # Adam's first step is lr * sign(gradient): where the gradient is noise, so is the sign.
        clear = gradient.abs() > 1e-3 * scale
        assert clear.float().mean() > 0.9
        torch.testing.assert_close(
            parameter.detach()[clear], released[f"after_adam.fc.{own}"][clear], atol=1e-5, rtol=0
        )


def test_zero_shot_maps_and_scores_are_the_released_ones(released: Released):
    prediction = begin(released).predict(released.features(["zeroth"] * 3))
    torch.testing.assert_close(prediction.maps[:, ::4, ::4], released["e2e_zero_shot_maps"], atol=1e-3, rtol=0)
    torch.testing.assert_close(prediction.maps[0], released["e2e_zero_shot_maps_full0"], atol=1e-3, rtol=0)
    scores = prediction.scores.double()
    torch.testing.assert_close(scores, released["e2e_zero_shot_scores"], atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(scores.float(), released["prob_cls_c0"][:, ANOMALOUS], atol=1e-6, rtol=1e-3)


def test_few_shot_maps_and_scores_are_the_released_ones(released: Released):
    shots = released.features(["zeroth"] * 2, prefix="shot_")
    inspector = begin(released, shots=2).on("zeroth", iter([shots]), iter(()))
    prediction = inspector.predict(released.features(["zeroth"] * 3))
    torch.testing.assert_close(prediction.maps[:, ::4, ::4], released["e2e_few_shot_maps"], atol=1e-3, rtol=0)
    torch.testing.assert_close(prediction.maps[0], released["e2e_few_shot_maps_full0"], atol=1e-3, rtol=0)
    settled = inspector.settle(prediction.scores, prediction.maps.amax((1, 2)))
    torch.testing.assert_close(settled.double(), released["e2e_few_shot_scores"], atol=1e-3, rtol=0)
