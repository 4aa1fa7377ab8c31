"""AnomalyCLIP against outputs of its released code on small random towers, from pictures to weights after a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower, random_tower
from stackclip.errors import BadOption, NotApplicable, WeightsError
from stackclip.methods import Moment, Task, refuse_shots, resolve
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Sample
from tests.methods.conftest import BehindTwelve

At = Callable[..., Moment]
CASES = ("t24s_112", "t24m_112", "t24s_160")
NAMES = {
    "context.0": "ctx_pos",
    "context.1": "ctx_neg",
    **{f"deep.{layer}": f"compound_prompts_text.{layer}" for layer in range(8)},
}


@dataclass(frozen=True)
class Released:
    """One case of the released code, our tower with its weights, the pictures, their masks and labels."""

    stored: Any
    tower: Tower
    pictures: Tensor  # (3, 3, S, S)
    masks: Tensor  # (3, S, S)
    labels: tuple[int, ...]

    def begin(self, spec: str) -> Any:
        """The method at work, with random prompts."""
        return resolve(spec).begin(self.task())

    def task(self) -> Task:
        text: Any = BehindTwelve(self.tower, torch.from_numpy(self.stored.given("prompt_token_ids_compact")).long())
        encode: Any = None
        return Task(
            tower=self.tower.spec,
            encode=encode,
            categories=("bottle",),
            train_on=("golden",),
            seed=0,
            device=torch.device("cpu"),
            text=text,
        )

    def given(self, spec: str = "anomalyclip") -> Any:
        """The method with the stored prompts."""
        detector = self.begin(spec)
        own = {ours: torch.from_numpy(self.stored.given(f"prompt.{theirs}")) for ours, theirs in NAMES.items()}
        detector.prompts.load_state_dict({name: tensor.reshape(tensor.shape[-2:]) for name, tensor in own.items()})
        return detector

    def features(self, spec: str = "anomalyclip") -> Features:
        samples = tuple(
            Sample(f"{i}.png", "golden", "bottle", "test", Path("x.png"), None, label, "hole")
            for i, label in enumerate(self.labels)
        )
        parts = self.tower.encode(self.pictures, resolve(spec).needs(self.tower.spec, "test"))
        return Features(samples, {**parts, MASK: self.masks})


@pytest.fixture(scope="module", params=CASES)
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    given = golden(f"anomalyclip_{request.param}")
    return Released(given.stored, given.tower("bilinear"), given.images, given.masks, given.labels)


def close(found: Tensor, stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    np.testing.assert_allclose(found.detach(), stored, rtol=0, atol=min(atol, coarse))


def test_the_class_token_is_the_released_one_without_ln_post(released: Released) -> None:
    close(released.features()[Part("cls-bare")], released.stored["cls_noln"], atol=1e-4)


def test_prompts_are_put_together_as_released(released: Released) -> None:
    prompts = released.given().prompts
    embedded, ends = prompts.embedded().detach(), prompts.ends.tolist()
    assert ends == released.stored.given("prompt_token_ids_compact").argmax(1).tolist()
    for side in (NORMAL, ANOMALOUS):
        close(embedded[side, : ends[side] + 1], released.stored["prompts"][side, : ends[side] + 1], atol=1e-6)


@pytest.mark.parametrize(("precision", "name"), [("float16", ""), ("float32", "_nohalf")])
def test_deep_tokens_give_the_released_text_features(released: Released, precision: str, name: str) -> None:
    detector = released.given(f"anomalyclip[deep_precision={precision}]")
    close(detector.prompts(), released.stored[f"text_features_raw{name}"], atol=1e-4)


def test_maps_and_scores_are_those_of_the_released_test_loop(released: Released) -> None:
    said = released.given().predict(released.features())
    close(said.maps[:, ::4, ::4], released.stored["e2e_maps"], atol=1e-3)
    close(said.maps[0], released.stored["e2e_maps_full0"], atol=1e-3)
    close(said.scores, released.stored["e2e_scores"], atol=1e-3)
    raw = released.given("anomalyclip[sigma=0]").predict(released.features())
    close(raw.maps[:, ::4, ::4], released.stored["map24"], atol=1e-3)


def test_taps_add_the_maps_of_their_layers(released: Released) -> None:
    spec = "anomalyclip[layers=taps]"
    assert {part.index for part in resolve(spec).needs(released.tower.spec, "test")} == {0, 6, 12, 18, 24}
    said = released.given(spec).predict(released.features(spec))
    close(said.maps[:, ::4, ::4], sum(released.stored[f"map{n}_sigma4"] for n in (6, 12, 18, 24)), atol=4e-3)


def test_the_loss_has_the_released_terms(released: Released) -> None:
    terms = released.given().loss(released.features())
    entropy, focal, *dice = released.stored["train_ce_focal_diceA_diceN"]
    assert terms["ce"].item() == pytest.approx(entropy, rel=1e-4)
    assert terms["focal"].item() == pytest.approx(focal, rel=1e-4)
    assert terms["dice"].item() == pytest.approx(sum(dice), rel=1e-4)
    assert terms["loss"].item() == pytest.approx(entropy + 4 * (focal + sum(dice)), rel=1e-4)


@pytest.mark.parametrize(
    ("precision", "prefix", "tolerance"), [("float32", "grad_nohalf", 1e-4), ("float16", "grad", 1e-3)]
)
def test_gradients_are_the_released_ones(released: Released, precision: str, prefix: str, tolerance: float) -> None:
    detector = released.given(f"anomalyclip[deep_precision={precision}]")
    detector.loss(released.features())["loss"].backward()
    for name, parameter in detector.prompts.named_parameters():
        expected = released.stored[f"{prefix}.{NAMES[name]}"].reshape(parameter.shape)
        np.testing.assert_allclose(parameter.grad, expected, atol=tolerance * np.abs(expected).max())


def test_one_step_of_adam_gives_the_released_weights(released: Released, at: At) -> None:
    detector = released.given("anomalyclip[deep_precision=float16]")
    detector.step(released.features(), at(detector))
    for name, parameter in detector.prompts.named_parameters():
        gradient = released.stored.given(f"grad.{NAMES[name]}").reshape(parameter.shape)
        expected = released.stored[f"after_adam.{NAMES[name]}"].reshape(parameter.shape)
        clear = np.abs(gradient) > 1e-3 * np.abs(gradient).max()  # Adam's first step is the rate times a sign
        assert clear.mean() > 0.9
        np.testing.assert_allclose(parameter.detach().numpy()[clear], expected[clear], atol=1e-5)


def learner_file(stored: Any) -> dict[str, Tensor]:
    """A `prompt_learner` as AnomalyCLIP saves it, with what nothing reads."""
    width = stored.given("prompt.ctx_pos").shape[-1]
    unread = {
        "token_prefix_pos": torch.zeros(1, 1, 1, width),
        "token_suffix_neg": torch.zeros(1, 1, 64, width),
        "tokenized_prompts_pos": torch.ones(1, 77, dtype=torch.int64),
        "compound_prompt_projections.0.weight": torch.zeros(896, width),
    }
    return {**{name: torch.from_numpy(stored.given(f"prompt.{name}")) for name in NAMES.values()}, **unread}


def test_a_released_prompt_learner_gives_its_maps_without_training(released: Released, tmp_path: Path) -> None:
    torch.save({"prompt_learner": learner_file(released.stored)}, tmp_path / "epoch_15.pth")
    detector = resolve(f"anomalyclip[weights={tmp_path / 'epoch_15.pth'}]").begin(replace(released.task(), epochs=3))
    assert detector.stages == ()
    assert detector.facts["weights"]["of"] == "AnomalyCLIP's prompt_learner"
    assert len(detector.facts["weights"]["blake3"]) == 64
    close(detector.predict(released.features()).maps[:, ::4, ::4], released.stored["e2e_maps"], atol=1e-3)


def test_a_prompt_learner_of_other_prompts_is_refused(released: Released, tmp_path: Path) -> None:
    torch.save({"prompt_learner": learner_file(released.stored)}, tmp_path / "epoch_15.pth")
    spec = f"anomalyclip[context=10,depth=7,weights={tmp_path / 'epoch_15.pth'}]"
    with pytest.raises(WeightsError, match=r"epoch_15\.pth: .*found ctx_pos \(1, 1, 12, \d+\) for \(10, \d+\); "):
        released.begin(spec)


def task_of(tower: Tower, **changes: Any) -> Task:
    text = tower.text
    device = torch.device("cpu")
    return replace(
        Task(tower=tower.spec, encode=text, categories=(), train_on=(), seed=0, device=device, text=text), **changes
    )


def test_two_seeds_begin_with_other_prompts_and_one_seed_with_the_same() -> None:
    tower = random_tower(image_size=32)
    first, again, other = (resolve("anomalyclip").begin(task_of(tower, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first.prompts(), again.prompts())
    assert not torch.equal(first.prompts(), other.prompts())


def test_text_features_follow_what_was_learned(at: At) -> None:
    tower = random_tower(image_size=32)
    detector = resolve("anomalyclip").begin(task_of(tower))
    part, grid = Part("vv-from6", 8), tower.spec.grid
    draws = torch.Generator().manual_seed(0)
    features = Features(
        tuple(Sample(str(i), "x", "x", "test", Path("x"), None, i % 2, "x") for i in range(2)),
        {
            part: torch.randn(2, grid * grid, tower.spec.joint, generator=draws),
            Part("cls-bare"): torch.randn(2, tower.spec.joint, generator=draws),
            MASK: torch.zeros(2, 32, 32).index_fill(0, torch.tensor(1), 1),
        },
    )
    before = detector.predict(features).scores
    assert torch.equal(detector.predict(features).scores, before)
    losses = [detector.step(features, at(detector, 0, step))["loss"] for step in range(5)]
    assert losses[-1] < losses[0]
    assert not torch.equal(detector.predict(features).scores, before)


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("anomalyclip[deep=13]", BadOption, "deep=13 and context=12"),
        ("anomalyclip[epochs=-1]", BadOption, "epochs=-1"),
        ("anomalyclip[temperature=0]", BadOption, "temperature=0"),
        ("anomalyclip[lambda=-1]", BadOption, "lambda=-1"),
        ("anomalyclip[sigma=-1]", BadOption, "sigma=-1"),
        ("anomalyclip[weights=/nowhere/x.pth]", WeightsError, "no such weights file"),
    ],
)
def test_options_that_cannot_be_are_refused(spec: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        resolve(spec)


def test_tasks_that_it_cannot_do_are_refused() -> None:
    tower = random_tower(image_size=32)
    with pytest.raises(NotApplicable, match="text tower"):
        resolve("anomalyclip").begin(task_of(tower, text=None))
    assert not resolve("anomalyclip").begin(task_of(tower, shots=2)).takes_shots
    with pytest.raises(NotApplicable, match="2 shots"):
        refuse_shots(2)


def test_a_tower_that_taps_no_late_layer_is_told_so() -> None:
    spec = replace(random_tower(image_size=32).spec, layers=(2, 4))
    needs: Callable[..., frozenset[Part]] = resolve("anomalyclip[layers=taps]").needs
    with pytest.raises(NotApplicable, match="no layer from 6 on"):
        needs(spec, "test")


def test_prompts_longer_than_the_text_tower_reads_are_refused() -> None:
    with pytest.raises(NotApplicable, match="the text tower reads 77"):
        resolve("anomalyclip[context=80]").begin(task_of(random_tower(image_size=32)))
