"""The pipeline that makes a method of a prompt strategy: anchors, weights, scores, schedule, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.errors import BrokenPlugin, NotApplicable, UsageError
from stackclip.methods import Moment, Pipeline, PromptedDetector, PromptedMethod, Task, resolve
from stackclip.prompts import CPE
from stackclip.prompts.precise import Precise
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Sample, TowerSpec

At = Callable[..., Moment]
TOWER = TowerSpec("tiny", image_size=16, grid=4, depth=4, width=12, joint=8, layers=(1, 2, 3, 4))
CATEGORIES = ("metal_nut", "bottle", "cable")


@dataclass(frozen=True)
class Hashed:
    """A text tower whose feature is drawn from the phrase, and class means from the category."""

    context_length: int = 77

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        draws = (np.random.default_rng(list(phrase.encode())) for phrase in phrases)
        return torch.from_numpy(np.stack([rng.uniform(1, 5) * rng.standard_normal(8) for rng in draws])).float()

    def class_means(self, categories: Sequence[str]) -> Tensor:
        return F.normalize(self(categories), dim=-1)

    def count_tokens(self, phrase: str) -> int:
        return 2 + len(phrase.replace(".", " .").split())


TASK = Task(
    tower=TOWER,
    encode=Hashed(),
    categories=CATEGORIES,
    train_on=("random",),
    seed=0,
    device=torch.device("cpu"),
)


def begin(spec: str, **changes: object) -> PromptedDetector:
    return resolve(spec).begin(replace(TASK, **changes))


def features_of(categories: Sequence[str], *, seed: int = 0) -> Features:
    draws = torch.Generator().manual_seed(seed)
    count = len(categories)
    parts = {part: torch.randn(count, 16, 12, generator=draws) for part in TOWER.taps}
    parts[CLS] = torch.randn(count, 8, generator=draws)
    parts[MASK] = (torch.rand(count, 16, 16, generator=draws) < 0.2).float()
    samples = tuple(
        Sample(f"{i}.png", "random", name, "test", Path("x"), None, ANOMALOUS, "hole")
        for i, name in enumerate(categories)
    )
    return Features(samples, parts)


def anchor(*subjects: str) -> Tensor:
    """The anchors (2, D) of subjects by a loop over their phrases."""
    sides = []
    for side in (NORMAL, ANOMALOUS):
        features = [Hashed()([phrase])[0] for subject in subjects for phrase in CPE.phrases(subject, side)]
        total = sum(feature / feature.norm() for feature in features)
        sides.append(total / total.norm())
    return torch.stack(sides)


def test_anchors_are_the_ensembles_of_what_each_stack_calls_the_category():
    detector = begin("stackclip[learner=none,clusters=2,source=image]")
    groups = detector.texts.stacks
    assert len(groups) == 2
    found = detector.anchors("zipper_tag")
    wanted = torch.stack([anchor(f"zipper tag {' '.join(group)}") for group in groups])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2, 2))


def test_image_scores_are_the_softmax_of_cosines_weighed_over_the_stacks():
    detector = begin("stackclip[learner=none,clusters=3]")
    features = features_of(["pill", "bottle"])
    prediction = detector.predict(features)
    for row, category in enumerate(("pill", "bottle")):
        token = features[CLS][row]
        cosines = F.cosine_similarity(token, detector.anchors(category), dim=-1)  # (K, 2)
        weights = cosines[:, NORMAL].softmax(0)
        score = (weights * (100 * cosines).softmax(-1)[:, ANOMALOUS]).sum()
        torch.testing.assert_close(prediction.scores[row], score, atol=1e-4, rtol=0)


def test_without_a_head_there_are_scores_and_a_reason_for_no_map(at: At):
    detector = begin("clip")
    features = features_of(["pill"])
    prediction = detector.predict(features)
    cosines = F.cosine_similarity(features[CLS], anchor("pill"), dim=-1)
    torch.testing.assert_close(prediction.scores[0], (100 * cosines).softmax(0)[ANOMALOUS], atol=1e-4, rtol=0)
    assert prediction.maps is None
    assert "inverted" in prediction.why_no_maps
    assert (detector.stages, list(detector.parameters())) == ((), [])
    with pytest.raises(NotApplicable, match="learns nothing"):
        detector.step(features, at(detector))


def test_without_a_head_only_the_class_token_is_needed():
    for phase in ("train", "test"):
        assert resolve("clip").needs(TOWER, phase) == {CLS}
        assert resolve("stackclip[learner=none]").needs(TOWER, phase) == {CLS, *TOWER.taps}


def test_of_shots_only_the_patches_are_needed_and_of_further_normal_pictures_nothing():
    assert resolve("april-gan").needs(TOWER, "shots") == set(TOWER.taps)
    assert resolve("stackclip").needs(TOWER, "shots") == set()
    assert resolve("april-gan").needs(TOWER, "calibrate") == set()


@pytest.mark.parametrize(
    ("spec", "train_on", "epochs", "rate"),
    [
        ("precise", ("visa",), 15, 1e-3),
        ("fuzzy", ("visa",), 2, 1e-3),
        ("stacked", ("mvtec",), 2, 1e-4),
        ("stackclip[learner=none]", ("mvtec", "btad"), 2, 1e-4),
        ("stackclip[learner=none,epochs=0]", ("mvtec",), 0, 1e-4),
        ("stacked[epochs=7,lr=0.01]", ("mvtec",), 7, 1e-2),
        ("april-gan", ("mvtec",), 3, 1e-3),
        ("april-gan", ("visa",), 15, 1e-3),
        ("april-gan[epochs=1]", ("visa",), 1, 1e-3),
    ],
)
def test_the_schedule_is_the_papers_unless_it_is_given(spec: str, train_on: tuple[str, ...], epochs: int, rate: float):
    detector = begin(spec, train_on=train_on)
    assert sum(stage.epochs for stage in detector.stages) == detector.facts["epochs"] == epochs
    assert detector.facts["learning_rate"] == rate
    (group,) = detector._maps._optimiser.param_groups
    assert (group["lr"], group["betas"]) == (rate, (0.5, 0.999))
    assert [stage.epochs for stage in begin(spec, train_on=train_on, epochs=4).stages] == [4]
    assert begin(spec, train_on=train_on, epochs=0).stages == ()


def test_class_names_are_those_of_the_method_unless_the_task_says_otherwise():
    assert begin("precise").texts.stacks == (("metal nut", "bottle", "cable"),)
    assert begin("april-gan").texts.stacks == (CATEGORIES,)
    assert begin("precise", class_names="raw").texts.stacks == (CATEGORIES,)
    torch.testing.assert_close(begin("precise").anchors("metal_nut")[0], anchor("metal nut"), atol=1e-5, rtol=0)


def test_categories_of_one_natural_name_are_one_name_in_a_stack(at: At):
    detector = begin("stacked[class-names=natural]", categories=("pcb1", "pcb2", "candle"))
    assert sorted(name for group in detector.texts.stacks for name in group) == ["candle", "printed circuit board"]
    features = features_of(["pcb1", "pcb2", "candle"])
    assert np.isfinite(detector.step(features, at(detector))["loss"])


class AsksForMeans(Precise):
    """It asks for the class means of the categories, the last first."""

    def stacks(self, categories, encode):
        self.means = encode.class_means(categories[::-1])
        return (categories,)


def test_class_means_of_categories_of_one_name_are_averaged():
    strategy, categories = AsksForMeans(), ("pcb1", "pcb2", "candle")
    task = replace(TASK, categories=categories, class_names="natural")
    PromptedMethod(strategy, Pipeline()).begin(task)
    means = Hashed().class_means(categories)
    torch.testing.assert_close(strategy.means, torch.stack([means[2], (means[0] + means[1]) / 2]))


def test_a_picture_trains_the_set_of_its_own_stack_alone(at: At):
    together, apart = (begin("stackclip[learner=none,clusters=3,source=image]") for _ in range(2))
    features = features_of(["bottle", "cable", "metal_nut", "bottle"])
    together.step(features, at(together, last=True))
    for category in ("cable", "bottle", "metal_nut"):
        rows = [row for row, name in enumerate(features.categories) if name == category]
        parts = {part: tensor[rows] for part, tensor in features.parts.items()}
        picture = Features(tuple(features.samples[row] for row in rows), parts)
        apart.step(picture, at(apart, last=True))
    for name, tensor in together.state_dict().items():
        torch.testing.assert_close(apart.state_dict()[name], tensor, atol=1e-6, rtol=0)


def test_with_one_stack_the_methods_with_efa_and_with_one_head_are_one_method(at: At):
    efa, linear = (begin(f"stacked[clusters=1,head={head}]") for head in ("efa", "linear"))
    for turn in range(3):
        features = features_of(CATEGORIES, seed=turn)
        assert efa.step(features, at(efa, 0, turn)) == linear.step(features, at(linear, 0, turn))
    features = features_of(["pill", "bottle"], seed=9)
    one, other = efa.predict(features), linear.predict(features)
    assert torch.equal(one.scores, other.scores)
    assert torch.equal(one.maps, other.maps)


@pytest.mark.parametrize("weights_from", ["test-prompt", "train-prompt", "category"])
def test_the_weights_of_the_stacks_come_from_the_text_that_was_chosen(weights_from: str):
    detector = begin(
        f"stackclip[learner=none,clusters=2,source=image,head=efa[temperature=9,weights-from={weights_from}]]"
    )
    categories = ("pill", "pill", "bottle")
    features = features_of(categories)
    anchors = torch.stack([detector.anchors(category) for category in categories])
    found = detector._maps.weights(features, anchors)
    for row, category in enumerate(categories):
        picture = anchor(category)[NORMAL] if weights_from == "category" else features[CLS][row]
        texts = [" ".join(group) for group in detector.texts.stacks]
        if weights_from != "train-prompt":
            texts = [f"{category} {text}" for text in texts]
        cosines = torch.stack([F.cosine_similarity(picture, anchor(text)[NORMAL], dim=0) for text in texts])
        torch.testing.assert_close(found[row], (9 * cosines).softmax(0), atol=1e-4, rtol=0)


def test_training_does_not_change_the_test_anchors(at: At):
    detector = begin("stackclip[learner=none,clusters=3]")
    detector.step(features_of(CATEGORIES), at(detector, last=True))
    tested = torch.stack([anchor(f"bottle {' '.join(group)}") for group in detector.texts.stacks])
    torch.testing.assert_close(detector.anchors("bottle"), tested, atol=1e-5, rtol=0)


def test_the_selector_makes_the_anchors():
    raw, unit = (begin(f"precise[select={select}]").anchors("pill") for select in ("mean", "mean-of-unit"))
    features = Hashed()(CPE.phrases("pill", ANOMALOUS))
    torch.testing.assert_close(raw[0, ANOMALOUS], F.normalize(features.mean(0), dim=0), atol=1e-6, rtol=0)
    assert not torch.allclose(raw, unit)


def test_a_stack_that_outgrows_the_context_is_refused_cut_or_averaged():
    longest = CPE.longest("bottle cable", Hashed().count_tokens)
    encode = Hashed(context_length=longest)
    with pytest.raises(UsageError, match="does not fit the text tower's context"):
        begin("stacked[clusters=1]", encode=encode).anchors("pill")
    cut = begin("stacked[clusters=1,overflow=truncate-names]", encode=encode).anchors("pill")
    torch.testing.assert_close(cut[0], anchor("metal nut"), atol=1e-5, rtol=0)
    mean = begin("stacked[clusters=1,overflow=chunk-mean]", encode=encode).anchors("pill")
    torch.testing.assert_close(mean[0], anchor("metal nut", "bottle cable"), atol=1e-5, rtol=0)


def test_shots_are_refused_by_a_zero_shot_method_with_one_that_takes_them():
    with pytest.raises(NotApplicable, match="learns nothing from 2 shots; april-gan takes them"):
        begin("precise", shots=2)
    zero_shot = begin("april-gan")
    assert zero_shot.on("pill", iter([features_of(["pill"])]), iter(())) is zero_shot


def test_few_shot_scores_are_settled_over_the_category():
    inspector = begin("april-gan", shots=1).on("pill", iter([features_of(["pill"])]), iter(()))
    scores, peaks = torch.tensor([0.2, 0.4, 0.6]), torch.tensor([1.0, 3.0, 2.0])
    torch.testing.assert_close(inspector.settle(scores, peaks), torch.tensor([0.1, 0.7, 0.55]))
    assert inspector.settle(scores, torch.ones(3)).isfinite().all()
    assert torch.equal(begin("april-gan").settle(scores, peaks), scores)


def test_what_is_seen_of_one_category_is_not_known_of_another() -> None:
    detector, features = begin("april-gan", shots=1), features_of(["pill"])
    shots = {name: features_of([name], seed=seed) for seed, name in enumerate(("pill", "nut"), start=1)}
    pill = detector.on("pill", iter([shots["pill"]]), iter(()))
    before = pill.predict(features).maps
    detector.on("nut", iter([shots["nut"]]), iter(()))
    assert torch.equal(pill.predict(features).maps, before)
    again = detector.on("pill", iter([shots["nut"]]), iter(()))
    assert not torch.allclose(again.predict(features).maps, before)


def test_the_map_enters_few_shot_scores_once() -> None:
    features, scores = features_of(["pill", "pill"]), []
    for image_score in ("text", "text+map"):
        detector = begin(f"april-gan[image_score={image_score}]", shots=2)
        scores.append(detector.on("pill", iter([features]), iter(())).predict(features).scores)
    assert torch.equal(*scores)  # `settle` adds the map to both


def test_it_can_learn_on_after_it_has_predicted(at: At):
    detector = begin("stackclip[learner=none,clusters=2]")
    detector.predict(features_of(CATEGORIES))
    losses = [detector.step(features_of(CATEGORIES), at(detector, last=True))["loss"] for _ in range(15)]
    assert losses[-1] < losses[0]


def test_facts_say_what_a_reader_of_a_row_must_know():
    facts = begin("stackclip[learner=none,clusters=2]").facts
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert sorted(name for stack in facts["stacks"] for name in stack) == ["bottle", "cable", "metal nut"]
    assert set(facts["scores"]) == {"1", "2", "3"}
    assert facts["head"] == "efa"
    assert facts["image_score"] == "text"
    assert begin("april-gan", shots=1).facts["image_score"] == "text and transductive map maximum"
    assert begin("fuzzy").facts["stacks"] == [["metal nut", "bottle", "cable"]]


@pytest.mark.parametrize(
    "groups", [(("bottle",),), (CATEGORIES, ("ghost",)), (CATEGORIES, ()), (CATEGORIES, CATEGORIES)]
)
def test_stacks_that_do_not_hold_every_category_once_are_refused(groups, monkeypatch):
    monkeypatch.setattr(Precise, "stacks", lambda self, categories, encode: groups)
    with pytest.raises(BrokenPlugin, match="wanted each of"):
        begin("precise")
