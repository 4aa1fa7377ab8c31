"""VisualAD against outputs of its released code on small random towers, from its tokens to maps behind six steps."""

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
from stackclip.methods import Moment, resolve
from stackclip.methods.visualad import START
from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.ops.maps import pixels
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Sample

TAPS = (6, 12, 18, 24)
SIDES = {NORMAL: "normal", ANOMALOUS: "anomaly"}
STEPS, A_STEP = 6, 3  # two epochs of three


def released_names() -> dict[str, str]:
    """The array of each of our weights."""
    kinds = ("weight", "bias")
    attention = {"anchors": "anchor_queries", "positions": "pos_encoding", "share": "res_scale"}
    attention |= {f"{ours}.weight": f"{ours[0]}_proj.weight" for ours in ("query", "key", "value")}
    attention |= {f"{ours}_norm.{kind}": f"{ours[0]}_norm.{kind}" for ours in ("query", "key") for kind in kinds}
    attention |= {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in PAIRS for kind in kinds}
    found = {f"tokens.each.{side}": f"{name}_token" for side, name in SIDES.items()}
    found |= {f"norm.{kind}": f"ln_post.{kind}" for kind in kinds}
    for own, tap in enumerate(TAPS):
        found |= {
            f"attention.{own}.{ours}": f"sca.layer_attentions.layer_{tap}.{attention[ours]}" for ours in attention
        }
        for ours, place in (("inner", 0), ("outer", 3)):
            found |= {f"alignment.{own}.{ours}.{kind}": f"saf.layer_{tap}.mlp.{place}.{kind}" for kind in kinds}
    return found


PAIRS = (("gate", "gate.0"), ("out", "out_proj"))
NAMES = released_names()
IDLE = tuple(name for name in NAMES if name.endswith("key_norm.bias"))  # the softmax takes no notice of it
BUSY = tuple(name for name in NAMES if name not in IDLE)


@dataclass(frozen=True)
class Released:
    """One case of the released code, our tower with its weights, and `hidden/0` of the five pictures."""

    case: Any
    tower: Tower
    hidden: Tensor

    @property
    def stored(self) -> Any:
        return self.case.stored

    def weight(self, array: Any, name: str) -> Tensor:
        """One of our weights as it is in the file, where there are places for more patches than we have."""
        found = torch.from_numpy(np.asarray(array)).float()
        return found[0, : self.tower.spec.grid**2] if name.endswith("positions") else found

    def given(self, norm: str = "tower") -> Any:
        """The method with the stored weights, as it was released."""
        task = replace(task_of(("bottle",)), tower=self.tower.spec, image=self.tower.image, train_on=("mvtec",))
        detector: Any = resolve(f"visualad[dropout=0,test_norm={norm}]").begin(task)
        weights = {name: self.weight(self.stored.given(f"w.{theirs}"), name) for name, theirs in NAMES.items()}
        detector.learned.load_state_dict(weights)
        return detector

    def batch(self, *pictures: int) -> Features:
        rows = [picture for picture in pictures if picture >= 0]  # -1: a short batch
        labels = (*self.case.labels, NORMAL, NORMAL)
        masks = torch.cat([self.case.masks, torch.zeros(2, *self.case.masks.shape[1:])])
        samples = (Sample(f"{i}.png", "golden", "bottle", "test", Path("x.png"), None, labels[i], "hole") for i in rows)
        return Features(tuple(samples), {START: self.hidden[rows], MASK: masks[rows]})

    def batches(self) -> Iterator[Features]:
        for _ in range(STEPS // A_STEP):
            yield from (self.batch(*pictures) for pictures in self.stored.given("batches").tolist())


@pytest.fixture(scope="module", params=["visualad_t24s_112", "visualad_t24m_160"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    case = golden(request.param)
    tower = case.tower("bilinear")
    return Released(case, tower, tower.encode(torch.cat([case.images, case.shots]), [START])[START])


def close(found: Any, stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, coarse))


def in_their_order(tokens: Tensor) -> Tensor:
    """Tokens (B, 3 + P, C) with the anomalous one first."""
    return torch.cat([tokens[:, :2].flip(1), tokens[:, 2:]], dim=1)


def test_every_weight_of_the_file_has_its_place(released: Released) -> None:
    assert {name[2:] for name in released.stored if name.startswith("w.")} == set(NAMES.values())
    assert set(released.given().learned.state_dict()) == set(NAMES)


@torch.no_grad()
def test_the_tokens_that_enter_and_those_of_the_last_block_are_the_released_ones(released: Released) -> None:
    detector, hidden = released.given(), released.hidden[:3]
    front = detector.learned.tokens(detector.image)
    into = torch.cat([front.expand(3, -1, -1), hidden], dim=1)
    close(in_their_order(into), released.stored["into_block1"], atol=1e-5)
    end = detector.image.norm(detector.image.resume(hidden, 1, insert=front)[24])
    close(in_their_order(end), released.stored["start_tap24_lnpost"], atol=1e-4)
    for side, name in SIDES.items():
        close(end[:, side], released.stored[f"start_{name}"], atol=1e-4)


@torch.no_grad()
def test_the_tokens_of_each_tap_are_the_released_ones(released: Released) -> None:
    detector = released.given()
    front = detector.learned.tokens(detector.image)
    taps = detector.image.resume(released.hidden[:3], 1, stops=TAPS, insert=front)
    ends = detector.image.norm(taps[24][:, :2])
    pairs = zip(TAPS, detector.learned.attention, strict=True)
    found = torch.stack([attention(ends, detector.image.norm(taps[tap][:, 3:])) for tap, attention in pairs])
    for side, name in SIDES.items():
        close(found[:, :, side], released.stored[f"start_sca_{name}"], atol=1e-5)
        added = released.stored.given(f"start_sca_{name}") - released.stored.given(f"start_{name}")
        close((found - ends)[:, :, side], added, atol=1e-5)


@dataclass(frozen=True)
class Learned:
    """What six steps came to: terms, by tap, and rates of each, the gradient of the first, and the detector at last."""

    given: Released
    detector: Any
    terms: np.ndarray
    rates: list[list[float]]
    gradient: dict[str, Tensor]

    @property
    def stored(self) -> Any:
        return self.given.stored


def terms_by_tap(detector: Any, features: Features) -> list[float]:
    """The focal and the Dice loss of each tap."""
    patches, _ = detector.see(features[START], detector.learned.norm)
    maps, mask = pixels(patches, detector.tower.image_size, align_corners=False), features[MASK]
    losses = [loss for each in maps for loss in (focal_loss(each, mask), dice_loss(torch.sigmoid(each), mask))]
    return [float(loss.detach()) for loss in losses]


@pytest.fixture(scope="module")
def learned(released: Released) -> Learned:
    detector, terms, rates = released.given(), [], []
    detector.loss(released.batch(*released.stored.given("batches")[0]))["loss"].backward()
    gradient = {name: each.grad.clone() for name, each in detector.learned.named_parameters()}
    [stage] = detector.stages
    for number, features in enumerate(released.batches()):
        epoch, step = divmod(number, A_STEP)
        rates.append([group["lr"] for group in detector.optimiser.param_groups])
        by_tap = terms_by_tap(detector, features)
        found = detector.step(features, Moment(stage, epoch, step, step == A_STEP - 1))
        assert found["focal"] == pytest.approx(sum(by_tap[::2]))
        assert found["dice"] == pytest.approx(sum(by_tap[1::2]))
        assert found["loss"] == pytest.approx(found["relation"] + found["image"] + sum(by_tap))
        terms.append([found["relation"], found["image"], *by_tap])
    return Learned(released, detector, np.array(terms), rates, gradient)


def test_each_step_has_the_released_terms_and_rates(learned: Learned) -> None:
    close(learned.terms, learned.stored["terms"], atol=1e-5)
    np.testing.assert_allclose(learned.rates, learned.stored["lr_tokens_rest"], rtol=1e-9)


@pytest.mark.parametrize("name", BUSY)
def test_the_gradient_of_the_first_step_is_the_released_one(learned: Learned, name: str) -> None:
    expected = learned.given.weight(learned.stored[f"step1_grad.{NAMES[name]}"], name)
    torch.testing.assert_close(learned.gradient[name], expected, rtol=0, atol=1e-3 * float(expected.abs().max()))


def far(learned: Learned, name: str, stored: Callable[[str], Any]) -> Tensor:
    """Which weights differ: a gradient near 0 that has the other sign moves one by twice the rate."""
    expected = learned.given.weight(stored(f"after6.{NAMES[name]}"), name)
    rate = 1e-3 if name.startswith("tokens.") else 1e-4
    return (learned.detector.learned.state_dict()[name] - expected).abs() > 1e-6 + 1e-3 * rate * STEPS


@pytest.mark.parametrize("name", BUSY)
def test_the_weights_behind_six_steps_are_the_released_ones(learned: Learned, name: str) -> None:
    assert far(learned, name, learned.stored.__getitem__).float().mean() <= 0.05


def test_nearly_all_weights_behind_six_steps_are_the_released_ones(learned: Learned) -> None:
    apart = torch.cat([far(learned, name, learned.stored.given).flatten() for name in BUSY])
    assert apart.float().mean() <= 0.005


@pytest.mark.parametrize("name", IDLE)
def test_what_a_softmax_takes_no_notice_of_stays_where_it_was(learned: Learned, name: str) -> None:
    for array in ("step1_grad", "after6"):  # rounding, in theirs as in ours
        assert np.abs(learned.stored.given(f"{array}.{NAMES[name]}")).max() < 1e-6
    assert learned.gradient[name].abs().max() < 1e-9
    assert learned.detector.learned.state_dict()[name].abs().max() < 1e-6


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("positions")])
def test_places_beyond_the_patches_never_learn(learned: Learned, name: str) -> None:
    rest = slice(learned.given.tower.spec.grid**2, None)
    before, gradient, after = (
        learned.stored.given(f"{array}.{NAMES[name]}")[0, rest] for array in ("w", "step1_grad", "after6")
    )
    assert not gradient.any()
    np.testing.assert_allclose(after, before.astype(np.float64) * (1 - 1e-4 * 0.01) ** STEPS, rtol=1e-5)


def test_six_steps_give_the_released_maps_and_scores(learned: Learned) -> None:
    found = learned.detector.predict(learned.given.batch(0, 1, 2))
    close(found.maps[:, ::4, ::4], learned.stored["test_maps"], atol=1e-5)
    close(found.maps[0], learned.stored["test_map_full0"], atol=1e-5)
    close(found.scores, learned.stored["test_scores"], atol=1e-5)


def test_the_released_test_does_not_have_the_learned_norm(learned: Learned) -> None:
    norm, towers = (
        each.state_dict() for each in (learned.detector.learned.norm, learned.given.tower.model.visual.ln_post)
    )
    apart = max(float((norm[kind] - towers[kind]).abs().max()) for kind in ("weight", "bias"))
    assert apart == pytest.approx(float(learned.stored["ln_post_trained_minus_used_at_test"]), rel=1e-2)
    other = learned.given.given("learned")
    other.learned.load_state_dict(learned.detector.learned.state_dict())
    one, two = (each.predict(learned.given.batch(0)).maps for each in (learned.detector, other))
    assert float((one - two).abs().max()) > 1e-5
