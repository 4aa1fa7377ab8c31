"""AdaCLIP against outputs of its released code on small random towers, from tokens to the maps behind three steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import task_of
from stackclip.methods import Moment, resolve
from stackclip.methods.adaclip import START
from stackclip.ops.fusion import semantic_fusion
from stackclip.ops.maps import pixels
from stackclip.types import CLS, MASK, Features, Sample
from tests.methods.conftest import StoredText

TAPS = (6, 12, 18, 24)
SIDES = ("vision", "text")
THEIRS = {"vision": "visual", "text": "text"}
BOTTLE, CABLE = 61, 114  # ids of the two words in the compact vocabulary


def released_names() -> dict[str, list[str]]:
    """The arrays that make each of our weights; those of their first text layer never train, and are not ours."""
    found: dict[str, list[str]] = {}
    for side, theirs in (("vision", "visual"), ("text", "text")):
        for own, index in enumerate(range(side == "text", 4)):
            found[f"{side}.static.{own}"] = [f"{theirs}_prompter.static_prompts.{index}"]
        for kind in ("weight", "bias"):
            heads = [f"dynamic_{theirs}_prompt_generator.head.{n}.{kind}" for n in range(5)]
            found[f"{side}.dynamic.{kind}"] = heads
    for kind in ("weight", "bias"):
        found |= {f"patches.{n}.{kind}": [f"patch_token_layer.head.{n}.{kind}"] for n in range(4)}
        found[f"cls.{kind}"] = [f"cls_token_layer.head.0.{kind}"]
    return found


NAMES = released_names()


def weight_of(stored: Callable[[str], Any], prefix: str, name: str) -> Tensor:
    """One of our weights as it is in a released file."""
    return torch.from_numpy(np.concatenate([stored(f"{prefix}.{each}") for each in NAMES[name]]))


def weights_of(stored: Callable[[str], Any], prefix: str) -> dict[str, Tensor]:
    """The weights of a released file under our names."""
    return {name: weight_of(stored, prefix, name) for name in NAMES}


@dataclass(frozen=True)
class CompactText(StoredText):
    """A text tower whose phrases are the stored token ids of a bottle, or of a cable in its place."""

    ids: Tensor  # (48, 77)

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        if list(phrases) == [""]:
            return torch.tensor([[126, 127]])
        assert len(phrases) == len(self.ids)
        ids = self.ids[:, : int(self.ids.argmax(1).max()) + 1]
        return torch.where(ids == BOTTLE, CABLE, ids) if "cable" in phrases[0] else ids


@dataclass(frozen=True)
class Released:
    """One case of the released code, our tower with its weights, and what that gives of the pictures."""

    stored: Any
    case: Any
    tower: Tower
    ids: Tensor
    parts: Any
    clusters: int

    def given(self, options: str = "") -> Any:
        """The method with the stored weights, its tokens rounded as released."""
        text: Any = CompactText(self.tower, self.ids)
        image = self.tower.image
        task = replace(task_of(("bottle",)), tower=self.tower.spec, text=text, image=image)
        words = f"adaclip[prompt_precision=float16,clusters={self.clusters}{options}]"
        detector: Any = resolve(words).begin(task)
        if detector.method.weights is None:
            detector.learned.load_state_dict(weights_of(self.stored.given, "w"))
        return detector

    def batch(self, *pictures: int, classes: Sequence[str] = ("bottle",) * 3) -> Features:
        rows = list(pictures)
        samples = tuple(
            Sample(f"{i}.png", "golden", classes[i], "test", Path("x.png"), None, self.case.labels[i], "hole")
            for i in rows
        )
        parts = {part: tensor[rows] for part, tensor in self.parts.items()}
        return Features(samples, {**parts, MASK: self.case.masks[rows]})


def opened(golden: Callable[[str], Any], name: str, words: str) -> Released:
    case, ensemble = golden(name), golden(words).stored
    ids = np.concatenate([ensemble.given(f"ens_tokens_{side}") for side in ("normal", "abnormal")])
    tower = case.tower("bicubic")
    parts = tower.encode(case.images, [START, CLS])
    clusters = case.config["k_clusters"]
    return Released(case.stored, case, tower, torch.from_numpy(ids).long(), parts, clusters)


@pytest.fixture(scope="module", params=["t24s_112", "t24m_160"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    return opened(golden, f"adaclip_{request.param}", f"adaclip_{request.param}")


def close(found: Any, stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, coarse))


def test_position_embeddings_are_the_released_ones(released: Released) -> None:
    close(released.tower.model.visual.positional_embedding, released.stored["pos_embed_used"], atol=1e-4)


@pytest.mark.parametrize("side", SIDES)
def test_dynamic_tokens_are_made_of_the_raw_class_token(released: Released, side: str) -> None:
    tokens = getattr(released.given().learned, side)
    found = tokens.dynamic(released.parts[CLS]).reshape(3, 5, -1)
    close(found, released.stored[f"dynamic_{THEIRS[side]}_prompts"], atol=1e-4)


@pytest.mark.parametrize("row", range(3))
def test_prompted_taps_and_class_tokens_are_the_released_ones(released: Released, row: int) -> None:
    detector, hidden = released.given(), released.parts[START][row : row + 1]
    # Their own dynamic tokens: one that lies between two numbers of float16 would else be rounded to the other.
    dynamic = torch.from_numpy(released.stored.given("dynamic_visual_prompts")[row])
    append = {
        layer: (dynamic + static.detach()).half().float()
        for layer, static in enumerate(detector.learned.vision.static, start=1)
    }
    found = detector.image.resume(hidden, 1, stops=TAPS, append=append)
    for tap in TAPS:
        close(found[tap][0, : hidden.shape[1]], released.stored[f"tap{tap}_prompted"][row], atol=1e-4)
    close(detector.image.project(found[24][0, 0]), released.stored["cls_prompted"][row], atol=1e-4)
    own = detector.image.resume(hidden, 1, append=detector.learned.vision(released.parts[CLS][row]))[24]
    torch.testing.assert_close(own, found[24], rtol=0, atol=1e-3)


def test_text_anchors_under_tokens_are_the_released_ones(released: Released) -> None:
    anchors = released.given().anchors("bottle", released.parts[CLS][0])
    close(anchors.mT, released.stored["text_features_img0"], atol=1e-4)


def test_projected_tokens_and_their_fusion_are_the_released_ones(released: Released) -> None:
    detector = released.given()
    cls, tokens = detector.see(released.parts[START][0], released.parts[CLS][0])
    close(cls[None], released.stored["proj_cls_img0"], atol=1e-4)
    for tap, own in zip(TAPS, tokens, strict=True):
        close(own[None], released.stored[f"proj_tap{tap}_img0"], atol=2e-4)
    logits = detector.sight(released.batch(0), 0).patches.mean(0)
    fused = semantic_fusion(tokens, logits, clusters=released.clusters, seed=0)
    close(fused[None], released.stored["hsf_feature_img0"], atol=1e-3)


def test_maps_of_layers_and_of_their_mean_are_the_released_ones(released: Released) -> None:
    patches = released.given().sight(released.batch(0), 0).patches
    maps = torch.sigmoid(pixels(patches, released.tower.spec.image_size))
    for tap, own in zip(TAPS, maps, strict=True):
        close(own[None, ::4, ::4], released.stored[f"train_prob_map{tap}_img0"], atol=1e-3)
    found = released.given(",sigma=0").predict(released.batch(0)).maps
    close(found[0], released.stored["map_img0_full0"], atol=1e-3)
    for name in ("map_img0", "e2e_map_img0"):
        close(found[:, ::4, ::4], released.stored[name], atol=1e-3)


def test_scores_are_the_released_ones_with_and_without_fusion(released: Released) -> None:
    found = released.given().predict(released.batch(0)).scores
    for name in ("score_img0", "e2e_score_img0"):
        close(found, released.stored[name], atol=1e-3)
    alone = released.given(",share=0").predict(released.batch(0)).scores
    close(alone, released.stored["score_no_hsf_img0"], atol=1e-3)


@pytest.fixture(scope="module", params=["t24s_112", "t24m_160"])
def training(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    return opened(golden, f"adaclip_train_{request.param}_gelu", f"adaclip_{request.param}")


@dataclass(frozen=True)
class Learned:
    """What three steps came to: the terms and gradients of each, the weights behind it, and the detector at last."""

    given: Released
    detector: Any
    terms: list[dict[str, float]]
    gradients: list[dict[str, Tensor]]
    weights: list[dict[str, Tensor]]

    @property
    def stored(self) -> Any:
        return self.given.stored

    @property
    def order(self) -> list[int]:
        return [int(each) for each in self.stored.given("order")]

    def batch(self, *pictures: int) -> Features:
        return self.given.batch(*pictures, classes=self.given.case.config["classes"])


@pytest.fixture(scope="module")
def learned(training: Released) -> Learned:
    found = Learned(training, training.given(",dice=rows"), [], [], [])
    [stage] = found.detector.stages
    for step, picture in enumerate(found.order):
        found.terms.append(found.detector.step(found.batch(picture), Moment(stage, 0, step, step == 2)))
        own = dict(found.detector.learned.named_parameters())
        found.gradients.append({name: each.grad.clone() for name, each in own.items()})
        found.weights.append({name: each.detach().clone() for name, each in own.items()})
    return found


@pytest.mark.parametrize("step", range(3))
def test_each_step_has_the_released_terms(learned: Learned, step: int) -> None:
    score, *layers = learned.stored[f"step{step + 1}_terms"]
    focal, *dice = (sum(layers[kind::3]) for kind in range(3))
    found = learned.terms[step]
    assert found["score"] == pytest.approx(score, rel=2e-3)
    assert found["focal"] == pytest.approx(focal, rel=1e-4)
    assert found["dice"] == pytest.approx(sum(dice), rel=1e-4)
    assert found["loss"] == pytest.approx(learned.stored["losses"][step], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_the_first_step_is_the_released_one(learned: Learned, name: str) -> None:
    expected = weight_of(learned.stored.__getitem__, "step1_grad", name)
    tolerance = 1e-3 * float(expected.abs().max())
    torch.testing.assert_close(learned.gradients[0][name], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_the_weights_behind_steps_are_the_released_ones(learned: Learned, name: str, steps: int) -> None:
    expected = weight_of(learned.stored.__getitem__, f"after{steps}", name)
    assert far(learned.weights[steps - 1][name], expected, steps).float().mean() <= 0.05


@pytest.mark.parametrize("steps", [1, 3])
def test_nearly_all_weights_behind_steps_are_the_released_ones(learned: Learned, steps: int) -> None:
    expected = weights_of(learned.stored.given, f"after{steps}")
    found = torch.cat([far(learned.weights[steps - 1][name], expected[name], steps).flatten() for name in NAMES])
    assert found.float().mean() <= 0.005


def far(found: Tensor, expected: Tensor, steps: int) -> Tensor:
    """Which weights differ: a gradient near 0 that has the other sign moves one by twice the rate."""
    return (found - expected).abs() > 1e-6 + 1e-3 * 1e-2 * steps


def test_what_never_has_a_gradient_in_the_released_code_is_not_learned(learned: Learned) -> None:
    assert learned.stored.given("no_gradient").tolist() == ["text_prompter.static_prompts.0"]
    for steps in (1, 3):
        kept = learned.stored[f"after{steps}.text_prompter.static_prompts.0"]
        close(learned.stored.given("w.text_prompter.static_prompts.0"), kept, atol=0)
    assert len(learned.detector.learned.text.static) == 3


def test_three_steps_give_the_released_scores(learned: Learned) -> None:
    said = learned.detector.predict(learned.batch(0, 1, 2))
    # a score is that of a cluster in the picture: weights that rounding moved by 2e-7 may take a patch into another one
    close(said.scores, learned.stored["test_scores"], atol=8e-3)
    close(said.maps[:, ::4, ::4], learned.stored["test_maps_sigma4"], atol=2e-3)


def test_the_released_weights_behind_three_steps_give_the_released_maps(learned: Learned) -> None:
    detector = learned.given.given()
    detector.learned.load_state_dict(weights_of(learned.stored.given, "after3"))
    said = detector.predict(learned.batch(0, 1, 2))
    close(said.scores, learned.stored["test_scores"], atol=1e-3)
    close(said.maps[:, ::4, ::4], learned.stored["test_maps_sigma4"], atol=1e-3)
    close(said.maps[0], learned.stored["test_map_sigma4_full0"], atol=1e-3)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_released_file_is_read_by_names_and_gives_the_released_maps(
    learned: Learned, tmp_path: Path, suffix: str
) -> None:
    given, path = learned.given, tmp_path / f"epoch_5{suffix}"
    names = [name for name in learned.stored if name.startswith("after3.")]
    tensors = {name.replace("after3.", "clip_model."): torch.from_numpy(learned.stored.given(name)) for name in names}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    detector = given.given(f",weights={path}")
    assert detector.stages == ()
    assert detector.facts["weights"]["of"] == "AdaCLIP's clip_model"
    said = detector.predict(learned.batch(0, 1, 2))
    close(said.scores, learned.stored["test_scores"], atol=1e-3)
    close(said.maps[:, ::4, ::4], learned.stored["test_maps_sigma4"], atol=1e-3)
