"""AA-CLIP against outputs of its released code on small random towers: anchors, maps, both stages step by step.

Two quirks of the release are options: its v-v attention runs over the batch, so what a picture gives depends on its
neighbours (`surgery=batch`), and only the last tap trains the text (`text_loss=last`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor
from torch.optim.lr_scheduler import MultiStepLR

from stackclip.benchmarks.entrant import stored
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.clip import Tower, random_tower
from stackclip.clip.attention import attend_by_value
from stackclip.clip.recipe import LiveTraining
from stackclip.errors import BadOption, NotApplicable, UsageError, WeightsError
from stackclip.heads.adapters import ResidualAdapter, ResidualAdapters
from stackclip.methods import PHASES, Moment, Task, resolve
from stackclip.methods.adapted import AdaptedImage
from stackclip.prompts.described import DESCRIPTIONS, described
from stackclip.prompts.phrases import AA_CLIP
from stackclip.registry.guard import Stopped
from stackclip.reports.table import summarise
from stackclip.training.trainee import Trainee
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, Sample
from tests.methods.conftest import StoredText

At = Callable[..., Moment]
HIDDEN, BEFORE_SURGERY = Part("hidden", 1), Part("hidden", 5)
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
class CompactText(StoredText):
    """A text tower whose phrases of a category are the token ids of the released ones."""

    ids: Mapping[str, Tensor]  # (16, 77), normal ones first

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        if len(phrases) == 1:
            return self.ids[phrases[0]]
        [name] = [name for name in ("bottle", "cable") if all(name in phrase for phrase in phrases)]
        return self.ids[name]


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
        detector = resolve(f"aa-clip[text_loss=last,surgery=batch{options}]").begin(task)
        for part, names in STAGES.items():
            self.load(detector, part, {ours: self.given(f"w.{theirs}") for ours, theirs in names.items()})
        detector.rates = MultiStepLR(detector.image_optimiser, [3], 0.5)
        return detector

    def given(self, name: str) -> Any:
        """An array that went in; image layers have another name in the cases of one step."""
        return self.stored.given(name if name in list(self.stored) else name.replace(".fc.weight", ".fc.0.weight"))

    def load(self, detector: Any, part: str, weights: Mapping[str, Any]) -> None:
        getattr(detector, part).load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})

    def features(self, rows: Sequence[int]) -> Features:
        """What the stages read of some pictures, the first one as the released code does."""
        chosen = list(rows)
        samples = tuple(
            Sample(f"{i}.png", "golden", self.categories[i], "test", Path("x.png"), None, self.labels[i], "hole")
            for i in chosen
        )
        parts = self.tower.encode(self.pictures[chosen], {HIDDEN, BEFORE_SURGERY, CLS})
        return Features(samples, {**parts, MASK: self.masks[chosen]})


def attended(tower: Tower, pictures: Tensor, *, over: Literal["batch", "tokens"]) -> dict[int, Tensor]:
    """The tokens behind each block of a tower whose attention from block 6 on is v-v; over the batch as released."""
    hidden, found = tower.encode(pictures, {BEFORE_SURGERY})[BEFORE_SURGERY], {}
    if over == "batch":
        return tower.image.across_batch(hidden, 6, stops=LAYERS)
    for layer in range(6, 25):
        block: Any = tower.model.visual.transformer.resblocks[layer - 1]
        with torch.no_grad():
            hidden = hidden + attend_by_value(block, hidden)
            hidden = found[layer] = hidden + block.mlp(block.ln_2(hidden))
    return found


def task_of(tower: Tower, **changes: Any) -> Task:
    encode: Any = tower
    task = Task(
        tower=tower.spec,
        encode=encode,
        categories=("bottle", "cable"),
        train_on=("golden",),
        seed=0,
        device=torch.device("cpu"),
        text=tower.text,
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


def measured(masks: Tensor, labels: Sequence[int], maps: Tensor, scores: Tensor) -> list[float]:
    """Pixel AUROC and AP, image AUROC and AP in percent, by scikit-learn."""
    pairs = ((masks.flatten().numpy() > 0, maps.flatten()), (np.array(labels), scores))
    return [100 * float(metric(*pair)) for pair in pairs for metric in (roc_auc_score, average_precision_score)]


def agreeing(apart: Any, way: float) -> float:
    """The share of weights that are the released ones: a gradient near 0 may have another sign, which moves one."""
    return float((apart <= 1e-6 + 1e-3 * way).mean())


@dataclass(frozen=True)
class Step:
    """What a step said, and what it left."""

    terms: Mapping[str, float]
    levels: Sequence[float]
    gradients: Mapping[str, Any]
    weights: Mapping[str, Any]


def weights_of(module: torch.nn.Module) -> dict[str, Any]:
    return {name: parameter.detach().numpy().copy() for name, parameter in module.named_parameters()}


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
    metrics = measured(released.masks, released.labels, said.maps, settled)
    stored = released.stored["metrics_eval_values_pixAUC_pixAP_imAUC_imAP"]
    np.testing.assert_allclose(metrics, stored, rtol=0, atol=0.02)


@pytest.fixture(scope="module")
def first_stage(released: Released) -> Step:
    """One step of the first stage, and the loss of each tap."""
    detector, features = released.begin(), released.features(range(3))
    levels = []
    for n in LAYERS:
        detector.taps = (Part("surgery", n),)
        terms = detector.text_loss(features)
        levels.append((terms["focal"] + terms["dice"]).item())
    detector.taps = tuple(Part("surgery", n) for n in LAYERS)
    detector.method = replace(detector.method, text_loss="all")
    every = detector.text_loss(features)
    assert (every["focal"] + every["dice"]).item() == pytest.approx(sum(levels), rel=1e-5)
    detector.method = replace(detector.method, text_loss="last")
    return stepped(detector, "text", features, levels)


@pytest.fixture(scope="module")
def second_stage(released: Released) -> Step:
    """One step of the second stage."""
    detector, features = released.begin(), released.features(range(3))
    patches, _ = detector.image(features[HIDDEN])
    anchors = torch.stack([detector.anchors(name) for name in features.categories])
    parts = [detector._segmentation(each[None], anchors, features) for each in patches]
    return stepped(detector, "image", features, [(each["focal"] + each["dice"]).item() for each in parts])


def stepped(detector: Any, part: str, features: Features, levels: list[float]) -> Step:
    terms, module = detector.step(features, moment(detector, part)), getattr(detector, part)
    gradients = {name: each.grad.numpy().copy() for name, each in module.named_parameters()}
    return Step(terms, levels, gradients, weights_of(module))


def test_the_first_stage_has_the_released_losses(released: Released, first_stage: Step) -> None:
    np.testing.assert_allclose(first_stage.levels, released.stored["stage1_seg_loss_per_level"], rtol=1e-4)
    assert first_stage.terms["loss"] == pytest.approx(float(released.stored["stage1_total_loss_reported"]), rel=1e-4)


def test_the_second_stage_has_the_released_losses(released: Released, second_stage: Step) -> None:
    np.testing.assert_allclose(second_stage.levels, released.stored["stage2_seg_loss_per_level"], rtol=1e-4)
    assert second_stage.terms["ce"] == pytest.approx(float(released.stored["stage2_ce"][0]), rel=1e-4)
    assert second_stage.terms["loss"] == pytest.approx(float(released.stored["stage2_total_loss_reported"]), rel=1e-4)


@pytest.mark.parametrize(("stage", "part", "lr"), [(1, "text", 1e-5), (2, "image", 5e-4)])
def test_gradients_and_the_first_step_are_the_released_ones(
    released: Released, first_stage: Step, second_stage: Step, stage: int, part: str, lr: float
) -> None:
    step = {1: first_stage, 2: second_stage}[stage]
    for ours, theirs in STAGES[part].items():
        gradient = released.stored[f"stage{stage}_grad.{theirs}"]
        np.testing.assert_allclose(step.gradients[ours], gradient, atol=1e-3 * np.abs(gradient).max())
        apart = np.abs(step.weights[ours] - released.stored[f"stage{stage}_after_adam.{theirs}"])
        assert agreeing(apart, lr) >= 0.995, (ours, apart.max())


# Both stages, step by step


def batches(stored: Any, stage: int) -> list[list[int]]:
    return [[int(row) for row in rows if row >= 0] for rows in stored.given(f"stage{stage}_batches")]


@pytest.fixture(scope="module")
def history(trained: Released) -> dict[tuple[int, int], tuple[float, float, Mapping[str, Any]]]:
    """Loss, rate before the step and weights after it, of each step of both stages in a row."""
    detector, found = trained.begin(), {}
    for stage, part in ((1, "text"), (2, "image")):
        for step, rows in enumerate(batches(trained.stored, stage), 1):
            rate = detector.rates.get_last_lr()[0]
            terms = detector.step(trained.features(rows), moment(detector, part))
            found[stage, step] = terms["loss"], rate, weights_of(getattr(detector, part))
    return found


@pytest.mark.parametrize(("stage", "part", "lr"), [(1, "text", 1e-5), (2, "image", 5e-4)])
def test_every_step_gives_the_released_loss_and_weights(
    trained: Released, history: Any, stage: int, part: str, lr: float
) -> None:
    steps = len(batches(trained.stored, stage))
    losses, rates = zip(*(history[stage, step][:2] for step in range(1, steps + 1)), strict=True)
    np.testing.assert_allclose(losses, trained.stored[f"stage{stage}_losses"], rtol=1e-3)
    if stage == 2:
        np.testing.assert_allclose(rates, trained.stored["stage2_lr"], rtol=1e-6)
    for step in range(1, steps + 1):
        for ours, theirs in STAGES[part].items():
            apart = np.abs(history[stage, step][2][ours] - trained.stored[f"stage{stage}_after{step}.{theirs}"])
            assert agreeing(apart, lr * step) >= 0.995, (ours, step, apart.max())


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
    embedded, seen = trained.tower.text.embed_tokens(trained.tokens), {}

    def kept(layer: int) -> Callable[[Tensor], Tensor]:
        adapter = finished.text.adapters.behind().get(layer, lambda tokens: tokens)

        def see(tokens: Tensor) -> Tensor:
            seen[layer + 1] = adapter(tokens)
            return seen[layer + 1]

        return see

    ends = trained.tokens.long().argmax(1)
    trained.tower.text.encode_embedded(embedded, ends, after={layer: kept(layer) for layer in (1, 2, 3, 4)})
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
    metrics = measured(features[MASK], features.labels, said.maps, settled)
    np.testing.assert_allclose(metrics, trained.stored[f"test_{name}_Industrial_metrics"], rtol=0, atol=0.02)


@pytest.mark.parametrize("name", ["bottle", "cable"])
def test_the_medical_variant_tests_as_released(trained: Released, finished: Any, name: str) -> None:
    features = trained.features(trained.stored.given(f"test_{name}_pictures").tolist())
    inspector = variant_of(trained, finished, ",variant=medical", name)
    said = inspector.predict(features)
    close(said.maps[:, ::4, ::4], trained.stored[f"test_{name}_Medical_maps"], atol=4e-3)
    assert torch.equal(inspector.settle(said.scores, said.maps.amax((1, 2))), said.maps.amax((1, 2)))


@pytest.mark.parametrize("name", ["bottle", "cable"])
def test_scores_of_the_map_alone_are_the_released_medical_ones(trained: Released, finished: Any, name: str) -> None:
    """The case evaluates the maps of the industrial test as medical ones."""
    features = trained.features(trained.stored.given(f"test_{name}_pictures").tolist())
    said = variant_of(trained, finished, ",image_score=map", name).predict(features)
    scaled = (said.scores - said.maps.min()) / (said.maps.max() - said.maps.min())  # of the same order
    close(scaled, trained.stored[f"test_{name}_Medical_image_scores"], atol=1e-4)
    metrics = measured(features[MASK], features.labels, said.maps, said.scores)
    np.testing.assert_allclose(metrics, trained.stored[f"test_{name}_Medical_metrics"], rtol=0, atol=0.02)


def variant_of(trained: Released, finished: Any, options: str, name: str) -> Any:
    """The finished detector under other options, on a category."""
    detector = trained.begin(options)
    detector.load_state_dict(finished.state_dict())
    return detector.on(name, iter(()), iter(()))


# On towers of our own


def small_task(**changes: Any) -> Task:
    return task_of(random_tower(image_size=32), **changes)


def pictures_of(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Noise with a brighter square in every second picture, and the masks of the squares."""
    pictures, masks = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(5)), []
    for index in range(count):
        masks.append(torch.zeros(side, side))
        masks[-1][side // 4 : side // 2, side // 4 : side // 2] = index % 2
        pictures[index] += 4 * masks[-1]
    return pictures, torch.stack(masks)


def samples_of(count: int) -> tuple[Sample, ...]:
    names = ("bottle", "cable")
    return tuple(Sample(str(i), "x", names[i // 2 % 2], "test", Path("x"), None, i % 2, "x") for i in range(count))


def test_a_residual_adapter_keeps_lengths_of_what_it_adds_and_shares_by_a_tenth() -> None:
    adapter = ResidualAdapter(8, draws=torch.Generator().manual_seed(0))
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))
    added = (adapter(tokens) - 0.9 * tokens) / 0.1
    torch.testing.assert_close(added.norm(dim=-1), tokens.norm(dim=-1))
    one = adapter.fc(tokens[0, 3])
    one = torch.where(one > 0, one, 0.01 * one)
    torch.testing.assert_close(added[0, 3], one / one.norm() * tokens[0, 3].norm())


def test_the_gradient_of_an_adapter_is_that_of_finite_differences() -> None:
    adapters = ResidualAdapters(6, (1, 2), draws=torch.Generator().manual_seed(0)).double()
    tokens = torch.randn(2, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def through(first: Tensor, second: Tensor) -> Tensor:
        found = tokens
        for layer, weight in ((1, first), (2, second)):
            found = torch.func.functional_call(adapters.behind()[layer], {"fc.weight": weight}, (found,))
        return found

    weights = [each.detach().clone().requires_grad_() for each in adapters.parameters()]
    assert torch.autograd.gradcheck(through, weights)


def test_gradients_through_the_live_tower_are_those_of_finite_differences() -> None:
    tower = random_tower(image_size=32)
    tower.model.double()
    try:
        image = AdaptedImage(tower.image, tower.spec, draws=torch.Generator().manual_seed(0)).double()
        hidden = torch.randn(1, 17, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        weight = image.adapters["2"].fc.weight

        def total() -> Tensor:
            patches, tokens = image(hidden)
            return (patches[:, :, :, 0] ** 2).sum() + tokens[:, 1].sum()

        total().backward()
        for place in ((0, 0), (17, 90), (127, 3)):
            values, start = [], weight[place].item()
            for shift in (1e-6, -1e-6):
                with torch.no_grad():
                    weight[place] = start + shift
                    values.append(total().item())
                    weight[place] = start
            assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-9)
    finally:
        tower.model.float()


def test_float16_tokens_train_as_the_live_picture_does() -> None:
    tower = random_tower(image_size=32)
    pictures, masks = pictures_of(8, 32)
    parts = tower.encode(pictures, {HIDDEN})
    losses = []
    for tokens in (parts[HIDDEN], parts[HIDDEN].half().float()):
        detector = resolve("aa-clip").begin(task_of(tower))
        features = Features(samples_of(8), {HIDDEN: tokens, MASK: masks})
        at = moment(detector, "image")
        losses.append([detector.step(features.rows(n % 4 * 2, n % 4 * 2 + 2), at)["loss"] for n in range(20)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    assert losses[0] != losses[1]


def test_a_stage_trains_its_own_tower_alone(at: At) -> None:
    tower = random_tower(image_size=32)
    detector = resolve("aa-clip").begin(task_of(tower))
    pictures, masks = pictures_of(4, 32)
    features = Features(
        samples_of(4), {**tower.encode(pictures, detector.method.needs(tower.spec, "train")), MASK: masks}
    )
    before = {part: weights_of(getattr(detector, part)) for part in STAGES}
    for part, other in (("text", "image"), ("image", "text")):
        held, anchors = weights_of(getattr(detector, other)), detector.anchors("bottle")
        detector.step(features, moment(detector, part))
        after = weights_of(getattr(detector, part))
        assert all(np.abs(after[name] - before[part][name]).max() > 0 for name in after)
        assert all(np.array_equal(each, held[name]) for name, each in weights_of(getattr(detector, other)).items())
        assert torch.equal(detector.anchors("bottle"), anchors) == (part == "image")


@pytest.fixture(scope="module")
def held(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The small data sets in a store that has the parts of the method."""
    tower = small.tower
    root = tmp_path_factory.mktemp("aa-clip")
    store = Store.create(root, tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, [*small.training, *small.tested], {MASK, *resolve("aa-clip").needs(tower.spec, "train")})
    return replace(small, store=store)


@pytest.mark.parametrize("stop", [1, 4, 7, 10])
def test_a_training_stopped_in_either_stage_goes_on_to_the_last_digit(
    held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Two epochs of three steps in each of the two stages."""
    plan, steps, at_step, learn = held.plan("aa-clip", epochs=2), list[str](), [stop], Trainee.learn

    def run(place: str) -> Any:
        folder = tmp_path / place
        return Bench(plan, held.tower, held.encode, held.store, RowFolder(folder / "rows"), folder / "heads").run()

    whole = run("whole")

    def halting(self: Trainee, features: Features, last: bool) -> None:
        if len(steps) == at_step[0]:
            raise Stopped(130)
        steps.append(self.stage.name)
        learn(self, features, last)

    monkeypatch.setattr(Trainee, "learn", halting)
    with pytest.raises(Stopped):
        run("here")
    steps.clear()
    at_step[0] = -1
    again = run("here")
    assert steps == (["text"] * 6 + ["image"] * 6)[stop // 3 * 3 :]
    assert [row.metrics for row in again.rows] == [row.metrics for row in whole.rows]
    assert [{**row.facts, "train_seconds": 0} for row in again.rows] == [
        {**row.facts, "train_seconds": 0} for row in whole.rows
    ]
    assert not any(row.error for row in whole.rows)


def test_the_rate_is_halved_after_the_released_steps() -> None:
    detector = resolve("aa-clip").begin(small_task())
    assert sorted(detector.rates.milestones) == [16000, 32000]
    assert detector.rates.gamma == 0.5


def test_stages_read_their_own_parts() -> None:
    task = small_task(pictures=33)
    detector = resolve("aa-clip[epochs=15]").begin(task)
    text, image = detector.stages
    assert (text.epochs, text.batch, image.epochs, image.batch) == (5, 16, 15, 2)
    assert text.parts == {CLS, Part("joint", 2), Part("joint", 4), Part("surgery", 6), Part("surgery", 8)}
    assert image.parts == resolve("aa-clip").needs(task.tower, "test") == {HIDDEN}
    assert resolve("aa-clip").needs(task.tower, "train") == text.parts | image.parts
    assert resolve("aa-clip").needs(task.tower, "shots") == frozenset()
    facts = detector.facts
    assert {name: each["steps"] for name, each in facts["schedule"].items()} == {"text": 15, "image": 255}
    assert facts["learned"] == {"text": 3 * 64 * 64 + 64 * 96, "image": 6 * 128 * 128 + 5 * 128 * 96}
    assert facts["released_positions"] == "bicubic-antialias"
    assert facts["image_score"] == "text+map (transductive)"


def test_seeds_begin_elsewhere() -> None:
    first, again, other = (resolve("aa-clip").begin(small_task(seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first.anchors("bottle"), again.anchors("bottle"))
    assert not torch.equal(first.anchors("bottle"), other.anchors("bottle"))


def test_prompts_have_the_published_structure() -> None:
    assert [len(AA_CLIP.phrases("bottle", side)) for side in (NORMAL, ANOMALOUS)] == [6, 10]
    assert len(set(DESCRIPTIONS)) == 27
    assert described("Bottle") == DESCRIPTIONS["bottle"]
    assert described("bracket_black") == "black bracket"


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("aa-clip[epochs=-1]", BadOption, "epochs=-1"),
        ("aa-clip[text_lr=0]", BadOption, "lr=0"),
        ("aa-clip[class_names=nothing]", UsageError, "no class names 'nothing'"),
        ("aa-clip[variant=marine]", BadOption, "marine"),
    ],
)
def test_options_that_cannot_be_are_refused(spec: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        resolve(spec)


def test_tasks_that_it_cannot_do_are_refused() -> None:
    with pytest.raises(NotApplicable, match="inside both towers"):
        resolve("aa-clip").begin(small_task(image=None))
    spec = replace(random_tower(image_size=32).spec, layers=(1, 4))
    needs: Callable[..., frozenset[Part]] = resolve("aa-clip").needs
    with pytest.raises(NotApplicable, match="no layer before the second"):
        needs(spec, "test")
    assert not resolve("aa-clip").begin(small_task()).takes_shots


def test_stages_see_their_pictures_in_views_in_turn() -> None:
    plain = resolve("aa-clip").needs(small_task().tower, "train")
    for spec, text, image in (
        ("aa-clip[augment=views,views=2]", ("move-1", "move-2"), ("jitter-1", "jitter-2")),
        (
            "aa-clip[augment=live,text_epochs=1,epochs=2]",
            ("live-move-1", "live-move-2"),
            ("live-jitter-1", "live-jitter-2"),
        ),
    ):
        detector = resolve(spec).begin(small_task())
        assert [stage.views for stage in detector.stages] == [text, image]
        assert [stage.view(epoch) for stage in detector.stages for epoch in range(3)] == [
            *text,
            text[0],
            *image,
            image[0],
        ]
        wanted = {replace(part, view=view) for part in plain for view in (image if part == HIDDEN else text)}
        assert resolve(spec).needs(small_task().tower, "train") == wanted
        assert resolve(spec).needs(small_task().tower, "test") == {HIDDEN}


def test_a_bench_trains_on_changed_pictures_kept_or_made_anew(held: Any, tmp_path: Path) -> None:
    """With as many views as epochs both see the same changes, and learn the same up to the store's float16."""
    tower, losses, parts = held.tower, {}, {MASK}
    specs = {augment: f"aa-clip[augment={augment},views=2]" for augment in ("none", "views", "live")}
    for spec in specs.values():
        parts |= {part for phase in PHASES for part in resolve(spec).needs(tower.spec, phase)}
    store = Store.create(tmp_path / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, [*held.training, *held.tested], stored(parts))
    plan = held.plan(*specs.values(), epochs=2)
    rows = Bench(plan, tower, held.encode, store, RowFolder(tmp_path / "rows"), tmp_path / "heads").run().rows
    assert not [row.error for row in rows if row.error]
    for augment, spec in specs.items():
        facts = next(row.facts for row in rows if row.method == spec)
        losses[augment] = np.array([epoch["loss"] for epoch in facts["losses"]])
        assert facts["augment"] == ("2 views" if augment == "views" else augment)
    np.testing.assert_allclose(losses["views"], losses["live"], rtol=1e-3)
    assert np.abs(losses["views"] / losses["none"] - 1).max() > 0.01


def test_surgery_over_the_batch_reads_the_tokens_before_it_and_depends_on_the_neighbours(at: At) -> None:
    tower = random_tower(image_size=32)
    task = task_of(tower)
    losses = {}
    pictures, masks = pictures_of(4, 32)
    for surgery in ("tokens", "batch"):
        method = resolve(f"aa-clip[surgery={surgery},epochs=0]")
        parts = method.needs(tower.spec, "train")
        assert (BEFORE_SURGERY in parts, Part("surgery", 8) in parts) == (
            (True, False) if surgery == "batch" else (False, True)
        )
        assert {Part("joint", 2), Part("joint", 4), CLS} < parts
        features = Features(samples_of(4), {**tower.encode(pictures, parts), MASK: masks})
        detector: Any = method.begin(task)
        assert detector.facts["surgery"] == surgery
        spans = ((0, 4), (0, 2), (2, 4))
        whole, *halves = (detector.text_loss(features.rows(*span))["focal"].item() for span in spans)
        losses[surgery] = abs(whole - sum(halves) / 2) / whole
    assert losses["tokens"] < 1e-5 < 1e-3 < losses["batch"]


def test_a_bench_that_recomputes_has_the_same_rows(held: Any, tmp_path: Path) -> None:
    plan = held.plan("aa-clip", epochs=1)
    rows = {}
    for recompute in (False, True):
        folder = tmp_path / str(recompute)
        bench = Bench(
            plan,
            held.tower,
            held.encode,
            held.store,
            RowFolder(folder / "rows"),
            folder / "heads",
            live=LiveTraining(recompute=recompute),
        )
        assert bench.of_seed(0).lessons.task(bench.entrants[0]).image.live.recompute == recompute
        rows[recompute] = [row.metrics for row in bench.run().rows]
    assert rows[True] == rows[False]


def test_a_step_in_micro_batches_is_that_of_the_batch() -> None:
    tower = random_tower(image_size=32)
    pictures, masks = pictures_of(4, 32)
    features = Features(samples_of(4), {**tower.encode(pictures, {HIDDEN}), MASK: masks})
    found = []
    for at_once in (None, 1):
        detector = resolve("aa-clip").begin(replace(task_of(tower), micro_batch=at_once))
        terms = [detector.step(features, moment(detector, "image")) for _ in range(3)]
        found.append([term[name] for term in terms for name in ("loss", "focal", "dice", "ce")])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_a_bench_in_bf16_says_so_and_stands_alone(held: Any, tmp_path: Path) -> None:
    plan = held.plan("aa-clip", epochs=1)
    found = {}
    for precision in ("fp32", "bf16"):
        how = LiveTraining(precision=precision)  # type: ignore[arg-type]
        rows = RowFolder(tmp_path / "rows")
        outcome = Bench(plan, held.tower, held.encode, held.store, rows, tmp_path / "heads", live=how).run()
        assert outcome.computed == len(outcome.rows) > 0
        found[precision] = outcome.rows
    assert [row.facts.get("live_precision") for rows in found.values() for row in rows[:1]] == [None, "bf16"]
    losses = [rows[0].facts["losses"][-1]["loss"] for rows in found.values()]
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.05)
    tables = [table.protocol for table in summarise([*found["fp32"], *found["bf16"]])]
    assert sorted("trained in bf16" in each for each in tables) == [False, True]


@pytest.fixture
def weights_files(tmp_path: Path) -> dict[str, Path]:
    """What the release saves after each stage, for the small random tower: a state dict among other things."""
    made = resolve("aa-clip").begin(small_task(seed=5))
    files = {}
    for part, section in (("text", "text_adapter"), ("image", "image_adapter")):
        kept = {
            theirs.removeprefix(f"{section}."): weights_of(getattr(made, part)).get(ours)
            for ours, theirs in STAGES[part].items()
        }
        state = {name: torch.from_numpy(each) for name, each in kept.items() if each is not None}
        optimiser = getattr(made, f"{part}_optimiser").state_dict()
        files[part] = tmp_path / f"{section}.pth"
        torch.save({"epoch": 20, section: state, f"{part}_optimizer": optimiser}, files[part])
    return files


def test_released_weights_are_taken_and_their_stages_left_out(weights_files: Mapping[str, Path]) -> None:
    made = resolve("aa-clip").begin(small_task(seed=5))
    for options, stages, needs in (
        ("text_weights={text},weights={image}", [], set()),
        ("text_weights={text}", ["image"], {HIDDEN}),
        (
            "weights={image}",
            ["text"],
            {Part("joint", 2), Part("joint", 4), Part("surgery", 6), Part("surgery", 8), CLS},
        ),
    ):
        method = resolve(f"aa-clip[{options.format_map({k: str(v) for k, v in weights_files.items()})}]")
        task = small_task(epochs=3)
        method.check(task.tower)
        assert method.needs(task.tower, "train") == needs
        detector = method.begin(task)
        assert [stage.name for stage in detector.stages] == stages
        for part, fact in (("text", "text_weights"), ("image", "weights")):
            taken = part not in stages
            same = [
                torch.equal(a, b)
                for a, b in zip(getattr(detector, part).parameters(), getattr(made, part).parameters(), strict=True)
            ]
            assert all(same) == taken
            assert (detector.facts[fact] or {}).get("file") == (weights_files[part].name if taken else None)
    assert torch.equal(
        resolve(f"aa-clip[text_weights={weights_files['text']}]").begin(small_task()).anchors("bottle"),
        adapted_anchors(made),
    )


def adapted_anchors(detector: Any) -> Tensor:
    """Those of a detector that would train its text, which begins with the adapters in place."""
    assert detector.adapts_text
    anchors: Tensor = detector.anchors("bottle")
    return anchors


def test_weights_of_another_stage_or_tower_are_refused_in_a_line(weights_files: Mapping[str, Path]) -> None:
    swapped = resolve(f"aa-clip[weights={weights_files['text']}]")
    with pytest.raises(
        WeightsError, match=r"aa-clip image begins with AA-CLIP's image_adapter .* looks like AA-CLIP's text"
    ):
        swapped.check(small_task().tower)
    wider = replace(small_task().tower, width=192)
    with pytest.raises(WeightsError, match="for another tower or other options"):
        resolve(f"aa-clip[weights={weights_files['image']}]").check(wider)
    with pytest.raises(WeightsError, match="there is no such weights file"):
        resolve("aa-clip[text_weights=nowhere.pth]")


def test_a_picture_alone_has_a_score(at: At) -> None:
    inspector = resolve("aa-clip").begin(small_task()).on("bottle", iter(()), iter(()))
    assert inspector.settle(torch.tensor([0.4]), torch.tensor([3.0])).isfinite().all()
    assert torch.equal(inspector.settle(torch.tensor([0.4]), None), torch.tensor([0.4]))
