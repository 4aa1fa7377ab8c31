"""AA-CLIP against outputs of its released code on small random towers: anchors, maps, both stages step by step.

Two quirks of the release are made here and not in the method: its v-v attention runs over the batch (`attended`), so what a picture gives depends on its neighbours and no store can hold it; only the last tap trains the text,
which is the option `text_loss=last`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import MultiStepLR

from stackclip.clip import Tower, random_tower
from stackclip.clip.attention import attend_by_value
from stackclip.errors import BadOption, NotApplicable, UsageError
from stackclip.heads.adapters import ResidualAdapter, ResidualAdapters
from stackclip.methods import Moment, Task, resolve
from stackclip.methods.adapted import AdaptedImage
from stackclip.ops.maps import min_max
from stackclip.prompts.described import DESCRIPTIONS, described
from stackclip.prompts.phrases import AA_CLIP
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, Sample

At = Callable[..., Moment]
HIDDEN = Part("hidden", 1)
LAYERS = (6, 12, 18, 24)
STAGES: dict[str, dict[str, str]] = {  # our names for the released ones
    "text": {
        **{f"adapters.{n + 1}.fc.weight": f"text_adapter.{n}.fc.0.weight" for n in range(3)},
        "projection.weight": "text_adapter.3.fc.0.weight",
    },
    "image": {
        **{f"adapters.{n + 1}.fc.weight": f"image_adapter.layer_adapters.{n}.fc.0.weight" for n in range(6)},
        **{f"segmentation.{n}.weight": f"image_adapter.seg_proj.{n}.fc.weight" for n in range(4)},
        "detection.weight": "image_adapter.det_proj.fc.weight",
    },
}


@dataclass(frozen=True)
class CompactText:
    """A text tower whose phrases of a category are the token ids of the released ones."""

    tower: Tower
    ids: Mapping[str, Tensor]  # (16, 77), normal ones first
    context_length: int = 77

    @property
    def text_depth(self) -> int:
        return self.tower.text_depth

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        if len(phrases) == 1:
            return self.ids[phrases[0]]
        [name] = [name for name in ("bottle", "cable") if all(name in phrase for phrase in phrases)]
        return self.ids[name]

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        return self.tower.embed_tokens(tokens)

    def encode_embedded(self, embedded: Tensor, ends: Tensor, **words: Any) -> Tensor:
        return self.tower.encode_embedded(embedded, ends, **words)


@dataclass(frozen=True)
class Released:
    """One case of the released code, our tower with its weights, the pictures, their masks, labels and categories."""

    stored: Any
    ids: Any  # where the token ids are
    tower: Tower
    pictures: Tensor  # (N, 3, S, S)
    masks: Tensor  # (N, S, S)
    labels: tuple[int, ...]
    categories: tuple[str, ...]
    tokens: Tensor  # (8, 77)

    def begin(self, options: str = "") -> Any:
        """The method at work, with the weights of the case."""
        sides = ("normal", "abnormal")
        ids = {
            name: torch.cat([torch.from_numpy(self.ids.given(f"ens_tokens_{name}_{side}")).long() for side in sides])
            for name in ("bottle", "cable")
        }
        text: Any = CompactText(self.tower, {**ids, "tokens": self.tokens.long()})
        task = replace(task_of(self.tower), text=text, class_names="raw")
        detector = resolve(f"aa-clip[text_loss=last{options}]").begin(task)
        for part, names in STAGES.items():
            self.load(detector, part, {ours: self.given(f"w.{theirs}") for ours, theirs in names.items()})
        detector.rates = MultiStepLR(detector.image_optimiser, [3], 0.5)
        return detector

    def given(self, name: str) -> Any:
        """An array that went in; image layers have another name in the cases of one step."""
        return self.stored.given(name if name in list(self.stored) else name.replace(".fc.weight", ".fc.0.weight"))

    def load(self, detector: Any, part: str, weights: Mapping[str, Any]) -> None:
        getattr(detector, part).load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})

    def features(self, rows: Sequence[int], *, released: bool = False) -> Features:
        """What the stages read of some pictures, the first stage from the tower that the release made if so."""
        chosen = list(rows)
        samples = tuple(
            Sample(f"{i}.png", "golden", self.categories[i], "test", Path("x.png"), None, self.labels[i], "hole")
            for i in chosen
        )
        parts = self.tower.encode(self.pictures[chosen], {HIDDEN, CLS})
        if released:
            taps = attended(self.tower, self.pictures[chosen], over="batch")
            parts |= {Part("surgery", n): self.tower.image.project(taps[n][:, 1:]) for n in LAYERS}
        return Features(samples, {**parts, MASK: self.masks[chosen]})


def attended(tower: Tower, pictures: Tensor, *, over: Literal["batch", "tokens"]) -> dict[int, Tensor]:
    """The tokens behind each block of a tower whose attention from block 6 on is v-v; over the batch as released."""
    hidden, found = tower.encode(pictures, {Part("hidden", 5)})[Part("hidden", 5)], {}
    for layer in range(6, 25):
        block: Any = tower.model.visual.transformer.resblocks[layer - 1]
        with torch.no_grad():
            if over == "batch":
                hidden = hidden + attend_by_value(block, hidden.transpose(0, 1)).transpose(0, 1)
            else:
                hidden = hidden + attend_by_value(block, hidden)
            hidden = found[layer] = hidden + block.mlp(block.ln_2(hidden))
    return found


def task_of(tower: Tower, **changes: Any) -> Task:
    live: Any = tower
    task = Task(
        tower=tower.spec,
        encode=live,
        categories=("bottle", "cable"),
        train_on=("golden",),
        seed=0,
        device=torch.device("cpu"),
        text=live,
        image=tower.image,
    )
    return replace(task, **changes)


def moment(detector: Any, stage: str) -> Moment:
    return Moment(next(each for each in detector.stages if each.name == stage), 0, 0, last=False)


@pytest.fixture(scope="module", params=["t24m_112", "t24s_160"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    """A case of one step of each stage."""
    case = golden(f"aaclip_{request.param}")
    names = tuple(case.config["classes_of_images_train"])
    return Released(case.stored, case.stored, case.tower(), case.images, case.masks, case.labels, names, case.tokens)


@pytest.fixture(scope="module", params=["t24m_160", "t24s_112"])
def trained(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    """A case of both stages, step by step, with the shots as further pictures without masks."""
    case = golden(f"aaclip_train_{request.param}")
    ids = golden({"t24m_160": "aaclip_t24m_112", "t24s_112": "aaclip_t24s_160"}[request.param]).stored
    pictures, masks = torch.cat([case.images, case.shots]), torch.cat([case.masks, torch.zeros_like(case.masks[:2])])
    labels = tuple(case.stored.given("pictures_labels").tolist())
    names = tuple(case.config["classes_of_pictures"])
    return Released(case.stored, ids, case.tower(), pictures, masks, labels, names, case.tokens)


def close(found: Tensor | np.ndarray[Any, Any], stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    found = found.detach().numpy() if isinstance(found, Tensor) else found
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, coarse))


def gradients_agree(module: torch.nn.Module, stored: Mapping[str, Any]) -> None:
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(parameter.grad, stored[name], atol=1e-3 * np.abs(stored[name]).max())


def step_agrees(module: torch.nn.Module, gradients: Mapping[str, Any], stored: Mapping[str, Any], *, lr: float) -> None:
    """The first step of Adam is the rate times a sign: compare where the gradient's is clear."""
    for name, parameter in module.named_parameters():
        clear = np.abs(gradients[name]) > 1e-3 * np.abs(gradients[name]).max()
        assert clear.mean() > 0.9
        np.testing.assert_allclose(parameter.detach().numpy()[clear], stored[name][clear], rtol=0, atol=lr / 100)


def weights_agree(module: torch.nn.Module, stored: Mapping[str, Any], lr: float, steps: int) -> None:
    """Almost all weights are the released ones: a gradient near 0 may have another sign, which moves one by 2 lr."""
    for name, parameter in module.named_parameters():
        apart = np.abs(parameter.detach().numpy() - stored[name])
        assert (apart <= 1e-6 + 1e-3 * lr * steps).mean() >= 0.995, (name, apart.max())


# One step of each stage, from the given weights


def test_the_frozen_tower_is_the_released_one(released: Released) -> None:
    hidden = {n: Part("hidden", n) for n in LAYERS}
    parts = released.tower.encode(released.pictures, {CLS, *hidden.values()})
    close(parts[CLS], released.stored["cls"], atol=1e-4)
    for n in LAYERS:
        close(parts[hidden[n]], released.stored[f"tap{n}"], atol=1e-4)


def test_surgery_is_the_released_one_with_attention_over_tokens(released: Released) -> None:
    parts = released.tower.encode(released.pictures, {Part("surgery", n) for n in LAYERS})
    raw = attended(released.tower, released.pictures, over="tokens")
    for n in LAYERS:
        close(raw[n], released.stored[f"surgery_tokenaxis_tap{n}"], atol=1e-4)
        close(parts[Part("surgery", n)], released.tower.image.project(raw[n][:, 1:]).detach().numpy(), atol=1e-4)


def test_surgery_over_the_batch_is_the_released_one(released: Released) -> None:
    three, one = (attended(released.tower, released.pictures[:count], over="batch") for count in (3, 1))
    for n in LAYERS:
        close(three[n], released.stored[f"surgery_batch3_tap{n}"], atol=1e-4)
    for n in (12, 24):
        close(one[n], released.stored[f"surgery_batch1_img0_tap{n}"], atol=1e-4)
    apart = max(float((three[n][:1] - one[n]).abs().max()) for n in LAYERS)
    assert apart == pytest.approx(float(released.stored["surgery_depends_on_batch_maxdiff"]), rel=1e-2)


def test_adapted_text_is_the_released_one(released: Released) -> None:
    detector = released.begin()
    close(detector.text(["tokens"]), released.stored["text_adapted_tokens"], atol=1e-4)
    close(detector.text(["tokens"], adapted=False), released.stored["text_plain_tokens"], atol=1e-4)
    for name in ("bottle", "cable"):
        close(detector.anchors(name).mT, released.stored[f"text_{name}"], atol=1e-4)


def test_patches_and_tokens_of_pictures_are_the_released_ones(released: Released) -> None:
    image = released.begin().image
    hidden = released.features(range(3))[HIDDEN]
    patches, tokens = image(hidden)
    for n, found in zip(LAYERS, patches, strict=True):
        close(found, released.stored[f"norelu_seg_unit{n}"], atol=1e-4)
    close(tokens, released.stored["norelu_det"], atol=1e-4)


def test_a_leaky_relu_behind_the_layers_is_the_flag_that_is_off(released: Released) -> None:
    image = released.begin().image
    relu, taps = torch.nn.LeakyReLU(0.01), image.taps(released.features(range(3))[HIDDEN])
    for n, layer, tap in zip(LAYERS, image.segmentation, taps, strict=True):
        close(torch.nn.functional.normalize(relu(layer(tap)), dim=-1), released.stored[f"relu_seg_unit{n}"], atol=1e-4)
    tokens = torch.nn.functional.normalize(relu(image.detection(taps[-1])), dim=-1).mean(1)
    close(tokens, released.stored["relu_det"], atol=1e-4)


@pytest.mark.parametrize("variant", ["industrial", "medical"])
def test_maps_are_those_of_the_released_test(released: Released, variant: str) -> None:
    inspector = released.begin(f",variant={variant},image_score=text").on("bottle", iter(()), iter(()))
    said = inspector.predict(released.features(range(3)))
    close(said.maps[:, ::4, ::4], released.stored[f"norelu_test_map_sum_{variant.title()}"], atol=4e-3)
    if variant == "industrial":
        close(said.maps[:, ::4, ::4], released.stored["e2e_preds"], atol=4e-3)
        close(said.maps[0], released.stored["norelu_test_map_sum_Industrial_full0"], atol=4e-3)
        close(said.scores, released.stored["e2e_preds_image"], atol=1e-4)


def test_the_map_of_each_tap_is_the_released_one(released: Released) -> None:
    detector = released.begin()
    layers, features = list(detector.image.layers), released.features(range(3))
    for index, n in enumerate(LAYERS):
        detector.image.layers = (layers[index],)
        detector.image.segmentation = torch.nn.ModuleList([released.begin().image.segmentation[index]])
        said = detector.on("bottle", iter(()), iter(())).predict(features)
        close(said.maps[:, ::4, ::4], released.stored[f"norelu_test_map{n}"], atol=1e-3)


def test_image_scores_are_those_of_the_released_evaluation(released: Released) -> None:
    inspector = released.begin().on("bottle", iter(()), iter(()))
    said = inspector.predict(released.features(range(3)))
    settled = inspector.settle(said.scores, said.maps.amax((1, 2)))
    close(settled, released.stored["metrics_eval_image_scores"], atol=1e-4)


def test_the_first_stage_has_the_released_losses_gradients_and_step(released: Released) -> None:
    detector, features, names = released.begin(), released.features(range(3), released=True), STAGES["text"]
    for n, loss in zip(LAYERS, released.stored["stage1_seg_loss_per_level"], strict=True):
        detector.taps = (Part("surgery", n),)
        terms = detector.text_loss(features)
        assert (terms["focal"] + terms["dice"]).item() == pytest.approx(float(loss), rel=1e-4)
    assert terms["loss"].item() == pytest.approx(float(released.stored["stage1_total_loss_reported"]), rel=1e-4)
    detector.step(features, moment(detector, "text"))
    gradients_agree(detector.text, {ours: released.stored[f"stage1_grad.{name}"] for ours, name in names.items()})
    step_agrees(
        detector.text,
        {ours: released.stored.given(f"stage1_grad.{name}") for ours, name in names.items()},
        {ours: released.stored[f"stage1_after_adam.{name}"] for ours, name in names.items()},
        lr=1e-5,
    )


def test_all_taps_train_the_text_unless_it_is_said(released: Released) -> None:
    detector, features = released.begin(",text_loss=all".replace(",", "", 0)), released.features(range(3), released=True)
    assert "text_loss" not in detector.state_dict()
    detector.method = replace(detector.method, text_loss="all")
    terms = detector.text_loss(features)
    total = released.stored["stage1_seg_loss_per_level"].sum()
    assert (terms["focal"] + terms["dice"]).item() == pytest.approx(float(total), rel=1e-4)


def test_the_second_stage_has_the_released_losses_gradients_and_step(released: Released) -> None:
    detector, features, names = released.begin(), released.features(range(3)), STAGES["image"]
    terms = detector.image_loss(features)
    per_level = released.stored["stage2_seg_loss_per_level"]
    assert terms["ce"].item() == pytest.approx(float(released.stored["stage2_ce"][0]), rel=1e-4)
    assert (terms["focal"] + terms["dice"]).item() == pytest.approx(float(per_level.sum()), rel=1e-4)
    assert terms["loss"].item() == pytest.approx(float(released.stored["stage2_total_loss_reported"]), rel=1e-4)
    detector.step(features, moment(detector, "image"))
    gradients_agree(detector.image, {ours: released.stored[f"stage2_grad.{name}"] for ours, name in names.items()})
    step_agrees(
        detector.image,
        {ours: released.stored.given(f"stage2_grad.{name}") for ours, name in names.items()},
        {ours: released.stored[f"stage2_after_adam.{name}"] for ours, name in names.items()},
        lr=5e-4,
    )


# Both stages, step by step


def batches(stored: Any, stage: int) -> list[list[int]]:
    return [[int(row) for row in rows if row >= 0] for rows in stored.given(f"stage{stage}_batches")]


def taught(trained: Released, *, until: int) -> Any:
    """The detector after the released steps of its stages, the second only if `until` is 2."""
    detector = trained.begin()
    for stage, name in ((1, "text"), (2, "image"))[:until]:
        for rows in batches(trained.stored, stage):
            detector.step(trained.features(rows, released=stage == 1), moment(detector, name))
    return detector


@pytest.mark.parametrize(("stage", "name", "lr"), [(1, "text", 1e-5), (2, "image", 5e-4)])
def test_every_step_gives_the_released_loss_and_weights(trained: Released, stage: int, name: str, lr: float) -> None:
    detector = taught(trained, until=stage - 1)
    losses = trained.stored[f"stage{stage}_losses"]
    for step, rows in enumerate(batches(trained.stored, stage), 1):
        if stage == 2:
            assert detector.rates.get_last_lr()[0] == pytest.approx(float(trained.stored["stage2_lr"][step - 1]))
        found = detector.step(trained.features(rows, released=stage == 1), moment(detector, name))
        assert found["loss"] == pytest.approx(float(losses[step - 1]), rel=1e-3)
        stored = {ours: trained.stored[f"stage{stage}_after{step}.{theirs}"] for ours, theirs in STAGES[name].items()}
        weights_agree(getattr(detector, name), stored, lr, step)


@pytest.fixture(scope="module")
def finished(trained: Released) -> Any:
    """The detector with the released weights after the last steps, so that what is read then is compared alone."""
    detector = trained.begin()
    for stage, name in ((1, "text"), (2, "image")):
        last = len(batches(trained.stored, stage))
        weights = {o: trained.given(f"stage{stage}_after{last}.{theirs}") for o, theirs in STAGES[name].items()}
        trained.load(detector, name, weights)
    return detector


def test_anchors_after_training_are_the_released_ones(trained: Released, finished: Any) -> None:
    close(finished.text(["tokens"]), trained.stored["text_adapted_tokens"], atol=1e-4)
    for name in ("bottle", "cable"):
        close(finished.anchors(name).mT, trained.stored[f"text_{name}_after_stage1"], atol=1e-4)
    plain = trained.begin(",text_epochs=0")
    assert [stage.name for stage in plain.stages] == ["image"]
    close(plain.anchors("bottle").mT, trained.stored["text_bottle_plain"], atol=1e-4)


def test_tokens_between_text_blocks_are_the_released_ones(trained: Released, finished: Any) -> None:
    embedded, seen = trained.tower.embed_tokens(trained.tokens), {}

    def kept(layer: int) -> Callable[[Tensor], Tensor]:
        adapter = finished.text.adapters.behind().get(layer, lambda tokens: tokens)

        def see(tokens: Tensor) -> Tensor:
            seen[layer + 1] = adapter(tokens)
            return seen[layer + 1]

        return see

    ends = trained.tokens.long().argmax(1)
    trained.tower.encode_embedded(embedded, ends, after={layer: kept(layer) for layer in (1, 2, 3, 4)})
    for block in (2, 3, 4, 5):
        close(seen[block], trained.stored[f"text_into_block{block}"], atol=1e-4)


def test_tokens_between_image_blocks_are_the_released_ones(trained: Released, finished: Any) -> None:
    image, hidden = finished.image, trained.features(range(3))[HIDDEN]
    start = image.adapters["1"](hidden)
    found = {1: start} | image.image.resume(start, 2, stops=(*range(2, 8), *LAYERS), after=image.adapters.behind(2))
    for block in range(2, 9):
        close(found[block - 1], trained.stored[f"adapted_into_block{block}"], atol=1e-4)
    for n in LAYERS:
        close(found[n][:, 1:], trained.stored[f"adapted_tap{n}"], atol=1e-4)
    patches, tokens = image(hidden)
    for n, each in zip(LAYERS, patches, strict=True):
        close(each, trained.stored[f"seg_unit{n}"], atol=1e-4)
    close(tokens, trained.stored["det"], atol=1e-4)


@pytest.mark.parametrize("name", ["bottle", "cable"])
def test_the_trained_detector_tests_as_released(trained: Released, finished: Any, name: str) -> None:
    features = trained.features(trained.stored.given(f"test_{name}_pictures").tolist())
    inspector = finished.on(name, iter(()), iter(()))
    said = inspector.predict(features)
    settled = inspector.settle(said.scores, said.maps.amax((1, 2)))
    close(said.maps[:, ::4, ::4], trained.stored[f"test_{name}_maps"], atol=4e-3)
    close(said.maps[0], trained.stored[f"test_{name}_map_full0"], atol=4e-3)
    close(said.scores, trained.stored[f"test_{name}_scores"], atol=1e-4)
    close(settled, trained.stored[f"test_{name}_Industrial_image_scores"], atol=1e-4)
    measured(trained, features, said.maps, settled, trained.stored[f"test_{name}_Industrial_metrics"])


@pytest.mark.parametrize("name", ["bottle", "cable"])
def test_the_medical_variant_tests_as_released(trained: Released, finished: Any, name: str) -> None:
    features = trained.features(trained.stored.given(f"test_{name}_pictures").tolist())
    medical = trained.begin(",variant=medical")
    medical.load_state_dict(finished.state_dict())
    inspector = medical.on(name, iter(()), iter(()))
    said = inspector.predict(features)
    close(said.maps[:, ::4, ::4], trained.stored[f"test_{name}_Medical_maps"], atol=4e-3)
    assert torch.equal(inspector.settle(said.scores, said.maps.amax((1, 2))), said.maps.amax((1, 2)))
    lowest, largest = said.maps.min(), said.maps.max()  # the release scales, which orders them no otherwise


def test_a_leftover() -> None: ...
