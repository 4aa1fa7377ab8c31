"""CoCoOp against outputs of its released code on small random towers, from prompts to the weights of ten epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import task_of
from stackclip.methods import Moment, resolve
from stackclip.methods.conditional import ConditionalPrompts
from stackclip.methods.endings import Endings
from stackclip.ops.maps import unit
from stackclip.types import CLS, Features, Sample
from tests.methods.conftest import StoredText

TOWERS = ("t12s", "t12m")
ORDER = (0, 2, 1)  # in which the released code was shown the pictures, one by one
CONTEXT = 4
NAMES = {
    "context": "ctx",
    **{
        f"meta.{index}.{kind}": f"meta_net.linear{n}.{kind}"
        for index, n in ((0, 1), (2, 2))
        for kind in ("weight", "bias")
    },
}


@dataclass(frozen=True)
class CompactText(StoredText):
    """A text tower whose words are stored token ids; `phrases` has those of each phrase, without start and end."""

    phrases: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def count_tokens(self, phrase: str) -> int:
        return len(self.phrases[phrase]) + 2

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        rows = [[126, *self.phrases[phrase], 127] for phrase in phrases]
        length = max(map(len, rows))
        return torch.tensor([row + [0] * (length - len(row)) for row in rows])


def words_of(row: Any) -> list[int]:
    """The ids of a prompt behind its context, without start and end of text."""
    return [int(each) for each in row[1 + CONTEXT : int(row.argmax())]]


@dataclass(frozen=True)
class Forward:
    """A forward of the released module with several names, and ours with its weights."""

    stored: Any
    prefix: str
    case: Any

    def __getitem__(self, name: str) -> Any:
        return self.stored[f"{self.prefix}.{name}"]

    def given(self, name: str) -> Any:
        return self.stored.given(f"{self.prefix}.{name}")

    @property
    def scale(self) -> float:
        return float(self.stored["logit_scale_exp"])

    def prompts(self) -> tuple[ConditionalPrompts, Endings]:
        tower, ids = self.case.tower(), self.given("token_ids_compact")
        phrases = {str(index): words_of(row) for index, row in enumerate(ids)}
        text: Any = CompactText(tower, {"": [], **phrases})
        prompts = ConditionalPrompts(text, tower.spec.joint, context=CONTEXT, words=None, seed=0)
        prompts.load_state_dict(
            {ours: torch.from_numpy(self.given(f"prompt.{theirs}")) for ours, theirs in NAMES.items()}
        )
        return prompts, prompts.endings(list(phrases))

    def cls(self) -> Tensor:
        return unit(self.case.tower().encode(self.case.images, [CLS])[CLS])


@pytest.fixture(scope="module", params=[(tower, names) for tower in TOWERS for names in ("good_bad", "ctx_init")])
def forward(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Forward:
    tower, names = request.param
    case = golden(f"cocoop_{tower}")
    return Forward(case.stored, names, case)


def close(found: Any, stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, coarse))


def test_a_picture_shifts_the_context_as_released(forward: Forward) -> None:
    prompts, endings = forward.prompts()
    cls = forward.cls()
    close(cls, forward["cls_unit"], atol=1e-4)
    close(prompts.meta(cls), forward["meta_bias"], atol=1e-4)
    ids = forward.given("token_ids_compact")
    assert endings.ends.tolist() == ids.argmax(1).tolist()
    embedded = prompts.embedded(cls, endings)[0]  # (N, L, W)
    stored = forward["prompts_img0"]
    for found, wanted, end in zip(embedded, stored, endings.ends.tolist(), strict=True):
        close(found[: end + 1], wanted[: end + 1], atol=1e-4)


def test_text_features_and_logits_are_the_released_ones(forward: Forward) -> None:
    prompts, endings = forward.prompts()
    cls = forward.cls()
    raw = prompts(cls, endings)
    close(raw, forward["text_features_raw"], atol=1e-4)
    close(forward.scale * torch.einsum("bd,bsd->bs", cls, unit(raw)), forward["logits"], atol=1e-3)


def test_the_loss_and_its_gradients_are_the_released_ones(forward: Forward) -> None:
    prompts, endings = forward.prompts()
    cls = forward.cls()
    logits = forward.scale * torch.einsum("bd,bsd->bs", cls, unit(prompts(cls, endings)))
    loss = F.cross_entropy(logits, torch.from_numpy(forward.stored.given("labels")))
    assert loss.item() == pytest.approx(float(forward["train_loss"]), rel=1e-4)
    loss.backward()
    for name, parameter in prompts.named_parameters():
        expected = forward[f"grad.{NAMES[name]}"]
        np.testing.assert_allclose(parameter.grad, expected, atol=1e-3 * max(np.abs(expected).max(), 1e-6))


@dataclass(frozen=True)
class Training:
    """Ten epochs of the released code over three pictures."""

    case: Any
    stored: Any
    tower: Tower
    cls: Tensor
    scale: float

    def begin(self) -> Any:
        """The method at work, with the weights that it began with."""
        ids = self.stored.given("token_ids_compact")
        beginning = [int(each) for each in ids[0][1 : 1 + CONTEXT]]
        phrases = {"good bottle.": words_of(ids[0]), "damaged bottle.": words_of(ids[1])}
        text: Any = CompactText(self.tower, {"a photo of a": beginning, **phrases})
        task = replace(task_of(("bottle",)), tower=self.tower.spec, text=text, pictures=3)
        return resolve(f"cocoop[scale={self.scale}]").begin(task)

    def given(self) -> Any:
        detector = self.begin()
        detector.prompts.load_state_dict(
            {ours: torch.from_numpy(self.stored.given(f"w.{theirs}")) for ours, theirs in NAMES.items()}
        )
        return detector

    def batch(self, *pictures: int) -> Features:
        samples = tuple(
            Sample(f"{i}.png", "golden", "bottle", "test", Path("x.png"), None, self.case.labels[i], "hole")
            for i in pictures
        )
        return Features(samples, {CLS: self.cls[list(pictures)]})

    def epoch(self, detector: Any, number: int) -> list[float]:
        """The losses of an epoch's steps."""
        [stage] = detector.stages
        return [
            detector.step(self.batch(picture), Moment(stage, number, 3 * number + step, step == 2))["loss"]
            for step, picture in enumerate(ORDER)
        ]


@pytest.fixture(scope="module", params=TOWERS)
def training(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Training:
    case = golden(f"cocoop_train_{request.param}")
    scale = golden(f"cocoop_{request.param}").stored.given("logit_scale_exp")
    tower = case.tower()
    return Training(case, case.stored, tower, tower.encode(case.images, [CLS])[CLS], float(scale))


def test_the_context_begins_as_the_words(training: Training) -> None:
    close(training.begin().prompts.context, training.stored["w.ctx"], atol=1e-3)


def test_the_meta_network_has_the_released_shape(training: Training) -> None:
    begun = dict(training.begin().prompts.named_parameters())
    for ours, theirs in NAMES.items():
        assert begun[ours].shape == training.stored.given(f"w.{theirs}").shape


@pytest.mark.usefixtures("one_thread")  # in one case a dot product nearly cancels in the hidden layer of the network
def test_the_gradient_of_the_first_step_is_the_released_one(training: Training) -> None:
    detector = training.given()
    detector.loss(training.batch(ORDER[0])).backward()
    for name, parameter in detector.prompts.named_parameters():
        expected = training.stored[f"step1_grad.{NAMES[name]}"]
        np.testing.assert_allclose(parameter.grad, expected, atol=1e-3 * max(np.abs(expected).max(), 1e-6))


@dataclass(frozen=True)
class Learned:
    """What ten epochs came to: rate and losses of each, the weights behind some, and the detector at last."""

    stored: Any
    rates: list[float]
    losses: list[list[float]]
    weights: dict[int, dict[str, Tensor]]
    detector: Any
    tested: Features


@pytest.fixture(scope="module")
def learned(training: Training) -> Learned:
    detector = training.given()
    found = Learned(training.stored, [], [], {}, detector, training.batch(0, 1, 2))
    for epoch in range(10):
        found.losses.append(training.epoch(detector, epoch))
        found.rates.append(detector.optimiser.param_groups[0]["lr"])
        found.weights[epoch + 1] = {name: each.detach().clone() for name, each in detector.prompts.named_parameters()}
    return found


def test_ten_epochs_have_the_released_rates_and_losses(learned: Learned) -> None:
    close(learned.rates, learned.stored["lr_by_epoch"], atol=1e-12)
    close(learned.losses, learned.stored["losses"], atol=1e-4)


@pytest.mark.parametrize("epochs", [1, 2, 10])
def test_the_weights_behind_an_epoch_are_the_released_ones(learned: Learned, epochs: int) -> None:
    tolerance = 1e-6 + 1e-3 * 3 * sum(learned.rates[:epochs])
    for name, weights in learned.weights[epochs].items():
        expected = learned.stored[f"after_epoch{epochs}.{NAMES[name]}"]
        assert (np.abs(weights.numpy() - expected) > tolerance).mean() <= 0.005, name


def test_ten_epochs_give_the_released_scores(learned: Learned) -> None:
    close(learned.detector.logits(learned.tested), learned.stored["test_logits"], atol=1e-3)
    said = learned.detector.predict(learned.tested)
    close(said.scores, learned.stored["test_scores"], atol=1e-4)
    assert said.maps is None
    assert "class tokens" in said.why_no_maps
