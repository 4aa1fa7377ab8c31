"""PromptAD by itself: gradients, one seed and other orders, a bench that is stopped, what it says and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from stackclip.clip import random_tower
from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable, UsageError
from stackclip.methods import PHASES, resolve
from stackclip.methods.category_prompts import PromptTexts, one_class_loss
from stackclip.ops.maps import unit
from stackclip.types import CLS, Features, Part, patch

SPEC = "promptad[epochs=3]"


def begun(spec: str = SPEC, **changes: Any) -> Any:
    return resolve(spec).begin(task_of(shots=2, **changes))


def pictures(category: str, spec: str = SPEC, seed: int = 0) -> Features:
    needs = (resolve(spec).needs(trial_tower().spec, phase) for phase in PHASES)
    return features_of(frozenset().union(*needs), (category,), seed=seed)


def shown(detector: Any, category: str, *shots: Features) -> Any:
    return detector.on(category, iter(shots), iter(()))


def vectors(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_loss_is_that_of_a_loop_over_tokens() -> None:
    texts = PromptTexts(vectors(3, 8, seed=0), vectors(6, 8, seed=1), vectors(12, 8, seed=2))
    tokens = unit(vectors(2, 5, 8, seed=3))
    found = one_class_loss(texts, tokens, scale=20.0, reach="patch")
    normal, anomalous = (each.mean(0) / each.mean(0).norm() for each in (texts.normal, texts.anomalous))
    entropies, farther = [], []
    for token in tokens.flatten(0, 1):
        others = [20 * float(token @ (row / row.norm())) for row in texts.anomalous]
        logits = torch.tensor([20 * float(token @ normal), *others], dtype=torch.float64)
        entropies.append(float(logits.exp().sum().log() - logits[0]))
        farther.append(max(0.0, float(((token - normal) ** 2).sum() - ((token - anomalous) ** 2).sum())))
    assert found["ce"].item() == pytest.approx(sum(entropies) / 10)
    assert found["triplet"].item() == pytest.approx(sum(farther) / 10)
    means = [torch.stack([row / row.norm() for row in rows]).mean(0) for rows in (texts.manual, texts.learned)]
    assert found["match"].item() == pytest.approx(float(F.mse_loss(*means, reduction="sum")))
    assert found["loss"].item() == pytest.approx(sum(entropies) / 10 + sum(farther) / 10 + 1e-3 * found["match"].item())


@pytest.mark.parametrize("kind", ["cls", "seg"])
def test_the_gradient_is_the_slope_of_the_loss_in_float64(kind: Any) -> None:
    tower = random_tower(image_size=32)
    tower.model.double()
    detector = resolve(SPEC).begin(replace(task_of(shots=2), text=tower.text, image=tower.image))
    assert isinstance(detector, type(begun()))
    prompts = detector.begun("bottle", kind).double()
    shots = pictures("bottle")
    tokens = detector.tokens(Features(shots.samples, {p: t.double() for p, t in shots.parts.items()}), kind)

    def loss() -> torch.Tensor:
        return one_class_loss(prompts(), tokens, scale=10.0, reach="patch")["loss"]

    loss().backward()  # type: ignore[no-untyped-call]
    for parameter in prompts.parameters():
        assert parameter.grad is not None
        place, step, ends = int(parameter.grad.abs().argmax()), 1e-5, []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[place] += sign * step
                ends.append(loss().item())
                parameter.view(-1)[place] -= sign * step
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(parameter.grad.flatten()[place].item(), rel=1e-5)


def test_learning_makes_the_loss_smaller() -> None:
    made = shown(begun("promptad[epochs=20]"), "bottle", pictures("bottle"))
    for first, last in made.calibrated["first_and_last_loss"].values():
        assert last < first
    json.dumps(dict(made.calibrated), allow_nan=False)


def test_a_category_is_learned_alike_whatever_was_learned_before_and_however_shots_come() -> None:
    shots, tested = pictures("bottle"), pictures("bottle", seed=1)
    alone = shown(begun(), "bottle", shots).predict(tested)
    detector = begun()
    shown(detector, "zipper", pictures("zipper", seed=2))

    def stream() -> Iterator[Features]:
        for row in range(len(shots)):
            batch = Features(
                shots.samples[row : row + 1], {p: t[row : row + 1].clone() for p, t in shots.parts.items()}
            )
            yield batch
            for tensor in batch.parts.values():
                tensor.fill_(float("nan"))

    second = detector.on("bottle", stream(), iter(())).predict(tested)
    assert torch.equal(second.scores, alone.scores)
    assert torch.equal(second.maps, alone.maps)
    other = shown(begun(seed=1), "bottle", shots).predict(tested)
    assert not torch.equal(other.scores, alone.scores)
    assert not torch.equal(other.maps, alone.maps)


def test_each_task_alone_is_its_half_of_both() -> None:
    shots, tested = pictures("bottle"), pictures("bottle", seed=1)
    both, cls, seg = (
        shown(begun(f"promptad[epochs=2,task={name}]"), "bottle", shots).predict(tested)
        for name in ("both", "cls", "seg")
    )
    assert torch.equal(cls.scores, both.scores)
    assert torch.equal(seg.maps, both.maps)
    assert cls.maps is None
    assert "class tokens alone" in cls.why_no_maps
    assert seg.scores is None
    assert "patches alone" in seg.why_no_scores


def test_a_picture_that_was_shown_has_a_score_and_map_of_zero() -> None:
    shots = pictures("bottle")
    said = shown(begun(), "bottle", shots).predict(shots)
    torch.testing.assert_close(said.scores, torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(said.maps, torch.zeros_like(said.maps), atol=1e-5, rtol=0)


def test_it_reads_what_its_task_needs_in_no_phase_but_shots_and_test() -> None:
    tower = trial_tower().spec
    remembered = {patch(tower.depth // 4), patch(2 * tower.depth // 3)}
    for task, tokens in (("cls", {CLS}), ("seg", {Part("vv-from1", tower.depth)})):
        method = resolve(f"promptad[task={task}]")
        assert method.needs(tower, "shots") == method.needs(tower, "test") == tokens | remembered
        assert method.needs(tower, "train") == method.needs(tower, "calibrate") == frozenset()
    taps = resolve("promptad[taps=released]").needs(replace(tower, depth=12), "test")
    assert {Part("patch-released", 3), Part("patch-released", 8)} < taps
    with pytest.raises(NotApplicable, match="has 3"):
        resolve("promptad").needs(replace(tower, depth=3), "test")


def test_words_are_the_states_and_what_can_be_wrong_with_a_published_category() -> None:
    named: Any = resolve("promptad")
    general: Any = resolve("promptad[states=general]")
    words = named.words("metal_nut", "metal nut")
    assert words[:2] == ("metal nut.", "damaged metal nut.")
    assert words[9:] == tuple(
        f"metal nut with {defect}." for defect in ("a bent edge", "a stain", *words_of(words[11:]))
    )
    assert general.words("metal_nut", "metal nut") == words[:9]
    assert named.words("my part", "my part") == general.words("my part", "my part")


def words_of(phrases: tuple[str, ...]) -> list[str]:
    return [phrase.removeprefix("metal nut with ").removesuffix(".") for phrase in phrases]


def test_the_learned_tokens_stand_before_the_class_or_behind_it() -> None:
    before, behind = (begun(f"promptad[place={place}]").begun("metal_nut", "seg") for place in ("before", "behind"))
    for prompts, place in ((before, 5), (behind, 5 + trial_tower().text.count_tokens("metal nut") - 2)):
        assert torch.equal(prompts.embedded()[-1, place], prompts.anomalous[-1, 0])


def test_it_says_how_it_trains() -> None:
    facts = begun("promptad").facts
    assert facts["schedule"] == {"prompts": {"epochs": 100, "lr": 2e-3, "batch": 400, "steps": 100}}
    json.dumps(dict(facts))
    assert begun("promptad", batch_size=1, epochs=3).facts["schedule"]["prompts"]["steps"] == 6
    assert begun("promptad[epochs=0]").facts["schedule"] == {}
    assert begun().stages == ()


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("promptad[context=0]", BadOption, "context=0"),
        ("promptad[scale=0]", BadOption, "scale=0"),
        ("promptad[lr=0]", BadOption, "lr=0"),
        ("promptad[sigma=-1]", BadOption, "sigma=-1"),
        ("promptad[shots=-1]", BadOption, "shots=-1"),
        ("promptad[task=pixel]", BadOption, "task='pixel'|task=pixel"),
        ("promptad[class_names=other]", UsageError, "no class names 'other'"),
    ],
)
def test_options_that_cannot_be_are_refused(spec: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        resolve(spec)


def test_tasks_that_it_cannot_do_are_refused() -> None:
    for tower in ({"text": None}, {"image": None}):
        with pytest.raises(NotApplicable, match="a tower is not there"):
            begun(**tower)
    with pytest.raises(NotApplicable, match=f"reads {trial_tower().context_length}"):
        begun("promptad[context=74]").begun("bottle", "cls")
    with pytest.raises(UsageError, match="show at least one normal picture"):
        shown(begun(), "bottle")
