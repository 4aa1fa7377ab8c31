"""MRAD against outputs of its released code on small random towers: its memory, its votes, its training, its maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from stackclip.methods.regions import region_means
from stackclip.ops.maps import unit
from stackclip.ops.windows import window_means
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Sample
from tests.methods.conftest import BehindTwelve

DENSE, BARE = Part("vv-from2", 24), Part("cls-bare")
KINDS = ("weight", "bias")
VOTES = {
    f"{ours}.{kind}": f"{theirs}.{kind}"
    for ours, theirs in (
        *(("patches.query", "Projector.fc.0"), ("patches.key", "Projector.fc.1")),
        *(("pictures.query", "MLP.mlp1"), ("pictures.key", "MLP.mlp2")),
    )
    for kind in KINDS
}
IDLE = [name for name in VOTES if name.endswith("key.bias")]  # alike for all keys: the softmax takes no notice
BUSY = [name for name in VOTES if name not in IDLE]
PROMPTS = {
    **{f"shifts.{side}.{kind}": f"AnomalyMLP.mlp{side + 1}.{kind}" for side in (NORMAL, ANOMALOUS) for kind in KINDS},
    "objects.context.0": "PromptLearner.ctx_pos",
    "objects.context.1": "PromptLearner.ctx_neg",
    **{f"objects.deep.{layer}": f"PromptLearner.compound_prompts_text.{layer}" for layer in range(8)},
}
UNSEEN = "shifts.1.weight"  # no patch is above the threshold, so the anomalous region is 0 and its layer has no slope
STEPS = 3


@dataclass(frozen=True)
class Released:
    """One case of the released code, our tower with its weights, and the eight pictures that are remembered."""

    case: Any
    tower: Tower
    auxiliary: Features
    tested: Features

    @property
    def stored(self) -> Any:
        return self.case.stored

    def begin(self, options: str) -> Any:
        """The method, which has remembered all eight pictures, with the stored weights."""
        text = BehindTwelve(self.tower, torch.from_numpy(self.stored.given("clip_token_ids")).long())
        towers: Any = {"tower": self.tower.spec, "image": self.tower.image, "text": text}
        detector: Any = resolve(f"mrad[{options}]").begin(
            replace(task_of(("bottle",)), pictures=8, batch_size=3, **towers)
        )
        for start in range(0, 8, 3):
            assert detector.step(self.auxiliary.rows(start, start + 3), Moment(detector.stages[0], 0, 0, False)) == {}
        return detector

    def trained(self, options: str, prefix: str) -> Any:
        """The same with votes of the weights of that name."""
        detector = self.begin(options)
        load(detector, VOTES, self.stored, prefix)
        return detector

    def batches(self) -> list[Features]:
        return [rows(self.auxiliary, [i for i in batch if i >= 0]) for batch in self.stored.given("batches").tolist()]


def load(module: Any, names: dict[str, str], stored: Any, prefix: str) -> None:
    state = module.state_dict()
    given = {ours: torch.from_numpy(np.asarray(stored.given(f"{prefix}.{theirs}"))) for ours, theirs in names.items()}
    module.load_state_dict({**state, **{name: each.float().reshape(state[name].shape) for name, each in given.items()}})


def rows(features: Features, chosen: Sequence[int]) -> Features:
    samples = tuple(features.samples[i] for i in chosen)
    return Features(samples, {part: tensor[list(chosen)] for part, tensor in features.parts.items()})


def seen(tower: Tower, pictures: Tensor, masks: Tensor) -> Features:
    labels = [int(mask.any()) for mask in masks]
    samples = tuple(
        Sample(f"{i}.png", "golden", "bottle", "test", Path("x.png"), None, label, "hole")
        for i, label in enumerate(labels)
    )
    return Features(samples, {**tower.encode(pictures, [DENSE, BARE]), MASK: masks})


@pytest.fixture(scope="module", params=["mrad_t24s_112", "mrad_t24m_160"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    case = golden(request.param)
    tower = case.tower("bilinear")
    sources = torch.cat([case.images, case.shots])
    marked = torch.cat([case.masks, torch.zeros(2, *case.masks.shape[1:])])
    pictures, masks = [], []
    for source, *flips in case.stored.given("views").tolist():
        axes = [axis for axis, flip in zip((-1, -2), flips, strict=True) if flip]
        pictures.append(sources[source].flip(axes))
        masks.append(marked[source].flip(axes))
    auxiliary = seen(tower, torch.stack(pictures), torch.stack(masks))
    assert list(auxiliary.labels) == case.stored.given("picture_labels").tolist()
    return Released(case, tower, auxiliary, seen(tower, case.images, case.masks))


def close(found: Any, stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, coarse))


def same_prediction(detector: Any, released: Released, name: str, *, atol: float) -> None:
    found = detector.predict(released.tested)
    close(found.maps[:, ::4, ::4], released.stored[f"{name}_maps"], atol=atol)
    close(found.maps[0], released.stored[f"{name}_map_full0"], atol=atol)
    close(found.scores, released.stored[f"{name}_scores"], atol=atol)


def test_the_tokens_and_their_neighbourhoods_are_the_released_ones(released: Released) -> None:
    found, image = released.tested.parts, released.tower.image
    close(found[BARE], released.stored["cls_raw"], atol=1e-4)
    close(image.norm(found[DENSE]), released.stored["vv24_lnpost"], atol=1e-4)
    close(image.project(found[DENSE]), released.stored["vv24_proj"], atol=1e-4)
    close(released.begin("mode=tf").queries(released.tested), released.stored["vv24_lnpost_neighbour"], atol=1e-4)
    assert not released.stored["taps_alias_maxdiff"]  # all four released taps are this one


def test_the_memory_holds_the_released_keys_in_their_order(released: Released) -> None:
    detector = released.begin("mode=tf")
    for ours, theirs in ((detector.pictures, "image"), (detector.patches, "patch")):
        held = int(ours.held)
        values = torch.stack([1 - ours.labels[:held], ours.labels[:held]], dim=1)
        close(ours.keys[:held], released.stored[f"memory_{theirs}_keys"], atol=1e-5)
        close(values, released.stored[f"memory_{theirs}_values"], atol=0)


def test_votes_without_training_are_the_released_ones(released: Released) -> None:
    detector = released.begin("mode=tf")
    close(detector.patches(detector.queries(released.tested)), released.stored["tf_patch_prob"], atol=1e-5)
    close(detector.pictures(released.tested[BARE]), released.stored["tf_image_prob"], atol=1e-5)
    same_prediction(detector, released, "tf", atol=1e-5)


@pytest.mark.parametrize("hidden", [0.8, 0.85, 0.95])
def test_as_many_keys_as_released_are_hidden_in_training(released: Released, hidden: float) -> None:
    detector = released.begin("mode=tf")
    queries, held = unit(detector.queries(released.tested)).flatten(0, 1), int(detector.patches.held)
    keys = detector.patches.keys[:held]
    votes = detector.patches._votes(queries, keys, keys, hidden)
    share = (votes == 0).sum(1).float().mean()
    close(share, released.stored[f"mask_share_q{round(100 * hidden)}"], atol=1e-6)


def test_region_means_are_the_released_ones(released: Released) -> None:
    detector = released.begin("mode=tf")
    votes = detector.patches(detector.queries(released.tested))
    projected = released.tower.image.project(released.tested[DENSE])
    patches = unit(window_means(projected, released.tower.spec.frame.grid))
    threshold = float(released.stored["region_threshold"])
    close(region_means(patches, votes > threshold), released.stored["region_tokens"], atol=1e-5)
    close(region_means(patches, votes > 0.5), released.stored["region_tokens_at_half"], atol=1e-5)


@dataclass(frozen=True)
class Learned:
    """What a training came to: terms and rates of each step, the gradient of its first, and the detector at last."""

    given: Released
    detector: Any
    terms: np.ndarray
    rates: list[float]
    gradient: dict[str, Tensor]

    @property
    def stored(self) -> Any:
        return self.given.stored


def votes_learned(released: Released, options: str) -> Learned:
    """Three steps of the votes from the stored start."""
    detector, terms, rates = released.trained(options, "ft_w"), [], []
    batches, stage = released.batches(), detector.stages[1]
    detector.loss(batches[0])["loss"].backward()
    gradient = {name: each.grad.clone() for name, each in detector.named_parameters() if name in VOTES}
    for step, features in enumerate(batches):
        rates.append(detector.optimiser.param_groups[0]["lr"])
        found = detector.step(features, Moment(stage, 0, step, step == STEPS - 1))
        assert found["loss"] == pytest.approx(found["focal"] + found["dice"] + found["ce"])
        terms.append([found["focal"], found["dice"], found["ce"]])
    return Learned(released, detector, np.array(terms), rates, gradient)


@pytest.fixture(scope="module")
def ft(released: Released) -> Learned:
    return votes_learned(released, "mode=ft,epochs=1")


@pytest.fixture(scope="module")
def clip(released: Released) -> Learned:
    """Three steps of the prompts from the stored start, over the votes that the released code had learned."""
    detector, terms, rates = released.trained(CLIP, "clip_ft_after3"), [], []
    load(detector.prompts, PROMPTS, released.stored, "clip_w")
    batches, stage = released.batches(), detector.stages[2]
    detector.prompts_loss(batches[0])["loss"].backward()
    gradient = {name: each.grad.clone() for name, each in detector.prompts.named_parameters()}
    for step, features in enumerate(batches):
        rates.append(detector.prompt_optimiser.param_groups[0]["lr"])
        votes = detector.loss(features)
        found = detector.step(features, Moment(stage, 0, step, step == STEPS - 1))
        assert found["loss"] == pytest.approx(found["focal"] + found["dice"])
        terms.append([float(votes["focal"].detach()), float(votes["dice"].detach()), found["focal"], found["dice"]])
    return Learned(released, detector, np.array(terms), rates, gradient)


CLIP = "mode=clip,deep_precision=float16"


def test_each_step_of_the_votes_has_the_released_terms_and_rates(ft: Learned) -> None:
    close(ft.terms, ft.stored["ft_terms"], atol=1e-5)
    np.testing.assert_allclose(ft.rates, ft.stored["ft_lr"], rtol=1e-9)


def test_before_prompts_the_rate_of_the_votes_stays(released: Released) -> None:
    learned = votes_learned(released, CLIP)
    close(learned.terms, learned.stored["clip_terms_ft"], atol=1e-5)
    np.testing.assert_allclose(learned.rates, learned.stored["clip_lr"][:STEPS], rtol=1e-9)
    for name in BUSY:
        nearly_all(learned.detector.state_dict()[name], learned.stored[f"clip_ft_after3.{VOTES[name]}"])


def slope(found: Tensor, stored: Any) -> None:
    expected = torch.from_numpy(stored).reshape(found.shape)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))


def far(found: Tensor, stored: Any) -> Tensor:
    """Which weights differ: a gradient near 0 that has the other sign moves one by twice the rate."""
    return (found - torch.from_numpy(stored).reshape(found.shape)).abs() > 1e-6 + 1e-3 * 4e-4 * STEPS


def nearly_all(found: Tensor, stored: Any) -> None:
    assert far(found, stored).float().mean() <= 0.05


@pytest.mark.parametrize("name", BUSY)
def test_slopes_and_weights_of_the_votes_are_the_released_ones(ft: Learned, name: str) -> None:
    slope(ft.gradient[name], ft.stored[f"ft_step1_grad.{VOTES[name]}"])
    nearly_all(ft.detector.state_dict()[name], ft.stored[f"ft_after3.{VOTES[name]}"])


@pytest.mark.parametrize("name", IDLE)
def test_what_a_softmax_takes_no_notice_of_has_no_slope(ft: Learned, name: str) -> None:
    assert np.abs(ft.stored.given(f"ft_step1_grad.{VOTES[name]}")).max() < 1e-6  # rounding, in theirs as in ours
    assert ft.gradient[name].abs().max() < 1e-6
    for array in ("ft_after3", "clip_ft_after3"):
        moved = ft.stored.given(f"{array}.{VOTES[name]}") - ft.stored.given(f"ft_w.{VOTES[name]}")
        assert np.abs(moved).max() < 4e-4 * STEPS * 1.1  # where Adam makes steps of the rounding


def test_trained_votes_give_the_released_maps_and_scores(ft: Learned) -> None:
    same_prediction(ft.detector, ft.given, "ft", atol=1e-5)


def test_each_step_of_the_prompts_has_the_released_terms_and_rates(clip: Learned) -> None:
    focal, dice, text_focal, *text_dice = clip.stored["clip_terms_clip"].T
    close(clip.terms, np.stack([focal, dice, text_focal, np.sum(text_dice, axis=0)], axis=1), atol=1e-5)
    np.testing.assert_allclose(clip.rates, clip.stored["clip_lr"][STEPS:], rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in PROMPTS if name != UNSEEN])
def test_slopes_and_weights_of_the_prompts_are_the_released_ones(clip: Learned, name: str) -> None:
    slope(clip.gradient[name], clip.stored[f"clip_step4_grad.{PROMPTS[name]}"])
    nearly_all(clip.detector.prompts.state_dict()[name], clip.stored[f"clip_after_ft3_clip3.{PROMPTS[name]}"])


def test_together_nearly_all_weights_are_the_released_ones(ft: Learned, clip: Learned) -> None:
    for learned, names, array in ((ft, BUSY, "ft_after3"), (clip, PROMPTS, "clip_after_ft3_clip3")):
        state = learned.detector.state_dict() | (learned.detector.prompts or learned.detector).state_dict()
        found = [far(state[name], ft.stored.given(f"{array}.{(VOTES | PROMPTS)[name]}")).flatten() for name in names]
        assert torch.cat(found).float().mean() <= 0.005


def test_a_layer_whose_region_is_empty_stays_where_it_was(clip: Learned) -> None:
    assert not clip.stored[f"clip_step4_grad.{PROMPTS[UNSEEN]}"].any()
    assert not clip.gradient[UNSEEN].any()
    nearly_all(clip.detector.prompts.state_dict()[UNSEEN], clip.stored[f"clip_after_ft3_clip3.{PROMPTS[UNSEEN]}"])


def test_what_the_release_never_trains_is_not_there(clip: Learned) -> None:
    idle = {str(name) for name in clip.stored.given("clip_no_gradient")}
    assert idle == {"PromptLearner.compound_prompt_projections", "PromptLearner.mlp"}
    assert {name for name, _ in clip.detector.prompts.named_parameters()} == set(PROMPTS)


def test_trained_prompts_give_the_released_maps_and_scores(clip: Learned) -> None:
    same_prediction(clip.detector, clip.given, "clip", atol=1e-4)
