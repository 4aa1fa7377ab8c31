"""PromptAD against outputs of its released code on small random towers, from tokens to maps and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import task_of
from stackclip.errors import BadOption, NotApplicable, WeightsError
from stackclip.methods import resolve
from stackclip.methods.category_prompts import CategoryPrompts
from stackclip.methods.promptad import CONTEXTS, LEARNED, PromptAdDetector, token_of
from stackclip.ops.maps import on_grid, unit
from stackclip.types import NORMAL, Features, Sample
from tests.methods.conftest import StoredText

KINDS: tuple[Any, ...] = ("cls", "seg")
TRIPLET = {"cls": "patch", "seg": "channel"}  # with class tokens there is one way alone
CONTEXT = 4
NAMES = {"normal": "normal_ctx", "anomalous": "abnormal_ctx"}
STEPS = 3


@dataclass(frozen=True)
class CompactText(StoredText):
    """A text tower whose words are stored token ids; `phrases` has those of each phrase, without start and end."""

    phrases: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        rows = [[126, *self.phrases[phrase], 127] for phrase in phrases]
        length = max(map(len, rows))
        return torch.tensor([row + [0] * (length - len(row)) for row in rows])


def close(found: Any, stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, coarse))


@dataclass(frozen=True)
class Released:
    """One task of the released code: what went in, and our detector with its options."""

    stored: Any
    kind: Any
    tower: Tower
    detector: PromptAdDetector
    shots: Features
    tested: Features

    def begun(self) -> CategoryPrompts:
        """The prompts of a bottle with the weights that the released code began with."""
        ids = {name: self.stored.given(f"ids_{name}") for name in ("normal", "manual")}
        contexts = CONTEXTS[self.kind]
        rows = [ids["normal"][0], *ids["manual"][::contexts]]  # each state stands behind every context
        words = {str(at): [int(each) for each in row[1 + CONTEXT : row.argmax()]] for at, row in enumerate(rows)}
        text: Any = CompactText(self.tower, words)
        prompts = CategoryPrompts(
            text, list(words), normal=contexts, context=CONTEXT, learned=LEARNED, behind=0, seed=0
        )
        prompts.load_state_dict(
            {ours: torch.from_numpy(self.stored.given(f"w.{theirs}")) for ours, theirs in NAMES.items()}
        )
        return prompts

    def learned(self, steps: int) -> tuple[CategoryPrompts, list[dict[str, float]]]:
        """The prompts behind some steps, and the terms of each."""
        prompts = self.begun()
        tokens = self.detector.tokens(self.shots, self.kind)
        return prompts, list(islice(self.detector.lessons(prompts, tokens), steps))

    def inspector(self) -> Any:
        """The method on the category, which was shown the shots and stopped after the steps that were released."""
        self.detector.begun = lambda *_: self.begun()  # type: ignore[assignment,method-assign]
        lessons = type(self.detector).lessons
        self.detector.lessons = lambda *words: islice(lessons(self.detector, *words), STEPS)  # type: ignore[method-assign]
        return self.detector.on("bottle", iter([self.shots]), iter(()))

    def order(self) -> list[int]:
        """Where our learned prompts stand in the order of the released: that goes on in contexts and tokens at once."""
        contexts = CONTEXTS[self.kind]
        return [at % LEARNED * contexts + at % contexts for at in range(LEARNED * contexts)]


@pytest.fixture(scope="module", params=["cls_t12s", "seg_t12m"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    case, kind = golden(f"promptad_{request.param}"), request.param[:3]
    tower, scale = case.tower(), float(case.stored.given("logit_scale_used"))
    method: Any = resolve(f"promptad[task={kind},scale={scale},triplet={TRIPLET[kind]},taps=released]")
    task = replace(task_of(), tower=tower.spec, text=tower.text, image=tower.image, shots=len(case.shots))
    parts = {*(token_of(each, tower.spec) for each in KINDS), *method.remembered(tower.spec)}

    def features(pictures: Tensor) -> Features:
        samples = tuple(
            Sample(f"{index}.png", "golden", "bottle", "test", Path("x.png"), None, NORMAL, "good")
            for index in range(len(pictures))
        )
        return Features(samples, tower.encode(pictures, parts))

    return Released(case.stored, kind, tower, method.begin(task), features(case.shots), features(case.images))


def test_tokens_and_remembered_patches_are_the_released_ones(released: Released) -> None:
    detector = released.detector
    for kind, name in zip(KINDS, ("unit_cls", "unit_patch"), strict=True):
        close(detector.tokens(released.tested, kind), released.stored[name], atol=1e-4)
    for part, name in zip(detector.method.remembered(released.tower.spec), ("unit_mid3", "unit_mid8"), strict=True):
        close(unit(released.tested[part]), released.stored[name], atol=1e-4)
    close(released.tower.model.logit_scale, released.stored["logit_scale_used"], atol=1e-6)


def test_prompts_have_the_released_tokens(released: Released) -> None:
    ids = {name: released.stored.given(f"ids_{name}") for name in ("normal", "manual", "learned")}
    texts = released.begun()()
    for name, rows in ids.items():
        assert len(getattr(texts, name)) == len(rows)
    ends = released.begun().ends.tolist()
    contexts = CONTEXTS[released.kind]
    assert [end - 1 for end in ends] == [int(row.argmax()) for row in (ids["normal"][0], *ids["manual"][::contexts])]
    assert {int(row.argmax()) for row in ids["learned"]} == {ends[0]}


def test_text_features_begin_as_released(released: Released) -> None:
    texts = released.begun()()
    close(texts.normal, released.stored["text_normal"], atol=1e-4)
    close(texts.manual, released.stored["text_manual"], atol=1e-4)
    close(texts.learned[released.order()], released.stored["text_learned"], atol=1e-4)


def test_the_gradient_of_the_first_step_is_the_released_one(released: Released) -> None:
    prompts, _ = released.learned(1)
    for name, parameter in prompts.named_parameters():
        expected = released.stored[f"step1_grad.{NAMES[name]}"]
        np.testing.assert_allclose(parameter.grad, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_each_step_has_the_released_terms(released: Released) -> None:
    _, terms = released.learned(STEPS)
    found = [[step[name] for name in ("loss", "ce", "triplet", "match")] for step in terms]
    np.testing.assert_allclose(found, released.stored["losses"], rtol=1e-4)


@pytest.mark.parametrize("steps", [1, STEPS])
def test_the_weights_behind_steps_are_the_released_ones(released: Released, steps: int) -> None:
    prompts, _ = released.learned(steps)
    for name, parameter in prompts.named_parameters():
        close(parameter, released.stored[f"after{steps}.{NAMES[name]}"], atol=1e-6 + 1e-3 * 2e-3 * steps)


def test_three_steps_give_the_released_anchors_and_maps_of_patches(released: Released) -> None:
    inspector, detector = released.inspector(), released.detector
    grid = released.tower.spec.frame.grid
    normal, anomalous = inspector.anchors[released.kind]
    close(torch.stack([normal, anomalous]), released.stored["text_features"], atol=1e-4)
    text = torch.sigmoid(detector.method.scale * (detector.tokens(released.tested, "seg") @ (anomalous - normal)))
    close(on_grid(text, grid)[:, None], released.stored["textual_map"], atol=1e-3)
    close(on_grid(inspector.visual(released.tested), grid)[:, None], released.stored["visual_map"], atol=1e-4)


def test_three_steps_give_the_released_maps_or_scores(released: Released) -> None:
    inspector = released.inspector()
    said = inspector.predict(released.tested)
    if released.kind == "seg":
        close(said.maps[:, ::4, ::4], released.stored["maps"], atol=1e-3)
        close(said.maps[0], released.stored["map_full0"], atol=1e-3)
        assert said.scores is None
    else:
        close(inspector.text(released.tested, "cls"), released.stored["scores_text"], atol=1e-4)
        visual = inspector.upsampled(inspector.visual(released.tested))
        close(visual[:, ::4, ::4], released.stored["maps_visual"], atol=1e-4)
        close(said.scores, released.stored["scores"], atol=1e-4)
        assert said.maps is None


def test_a_released_checkpoint_gives_the_released_maps_or_scores_without_shots(
    released: Released, tmp_path_factory: pytest.TempPathFactory
) -> None:
    early, late = (
        unit(released.shots[p]).flatten(0, 1) for p in released.detector.method.remembered(released.tower.spec)
    )
    anchors = torch.from_numpy(released.stored.given("text_features"))
    path = tmp_path_factory.mktemp("weights") / f"{released.kind.upper()}-Seed_111-bottle-check_point.pt"
    torch.save({"feature_gallery1": early, "feature_gallery2": late, "text_features": anchors}, path)
    method: Any = replace(released.detector.method, weights=path)
    tower = released.tower
    task = replace(task_of(), tower=tower.spec, text=tower.text, image=tower.image)
    detector = method.begin(task)
    assert (detector.least_shots, detector.facts["epochs"], detector.facts["schedule"]) == (0, 0, {})
    assert detector.facts["weights"]["of"] == "PromptAD's check_point"
    said = detector.on("bottle", iter(()), iter(())).predict(released.tested)
    if released.kind == "seg":
        close(said.maps[:, ::4, ::4], released.stored["maps"], atol=1e-3)
    else:
        close(said.scores, released.stored["scores"], atol=1e-4)
    with pytest.raises(NotApplicable, match="learned for bottle, and this is cable"):
        detector.on("cable", iter(()), iter(()))
    with pytest.raises(NotApplicable, match="show it none"):
        method.begin(replace(task, shots=2))
    other: Any = {"cls": "seg", "seg": "cls"}[released.kind]
    with pytest.raises(WeightsError, match=f"its name says task={released.kind}, found task={other}"):
        replace(method, task=other).check(tower.spec)
    with pytest.raises(BadOption, match="wanted taps=released"):
        replace(method, taps="clean")
    with pytest.raises(WeightsError, match="for another tower"):
        method.check(replace(tower.spec, joint=7))
