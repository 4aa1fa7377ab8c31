"""AF-CLIP against outputs of its released code on small random towers, with and without shots, and its training."""

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
from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import Moment, resolve
from stackclip.methods.af_clip import aggregated_taps, neighbourhoods
from stackclip.types import MASK, Features, Sample
from tests.methods.conftest import StoredText

STEPS = 4
NAMES = {
    "context": "prompt",
    **{
        f"adapter.{ours}": f"adaptor.attention.{theirs}"
        for ours, theirs in (
            ("norm.weight", "norm.weight"),
            ("norm.bias", "norm.bias"),
            ("query.weight", "attn.to_q.weight"),
            ("key.weight", "attn.to_k.weight"),
            ("value.weight", "attn.to_v.weight"),
            ("out.weight", "attn.to_out.0.weight"),
            ("out.bias", "attn.to_out.0.bias"),
        )
    },
}


@dataclass(frozen=True)
class CompactText(StoredText):
    """A text tower whose words are the token ids of the stored phrases."""

    ids: Tensor

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        assert list(phrases) == ["without defect.", "with defect."]
        return self.ids


@dataclass(frozen=True)
class Released:
    """One case of the released code: the three pictures, then two shots, through our tower with its weights."""

    stored: Any
    tower: Tower
    features: Features

    def begin(self, options: str = "", shots: int = 0, prefix: str = "w") -> Any:
        text = CompactText(self.tower, torch.from_numpy(self.stored.given("prompt_tokens")).long())
        towers: Any = {"tower": self.tower.spec, "image": self.tower.image, "text": text}
        detector: Any = resolve(f"af-clip[{options}]").begin(replace(task_of(("bottle",)), shots=shots, **towers))
        state = detector.state_dict()
        given = {ours: torch.from_numpy(self.stored.given(f"{prefix}.{theirs}")) for ours, theirs in NAMES.items()}
        detector.load_state_dict({name: each.float().reshape(state[name].shape) for name, each in given.items()})
        return detector

    def rows(self, chosen: Sequence[int]) -> Features:
        chosen = [row for row in chosen if row >= 0]
        samples = tuple(self.features.samples[row] for row in chosen)
        return Features(samples, {part: tensor[chosen] for part, tensor in self.features.parts.items()})

    @property
    def tested(self) -> Features:
        return self.rows([0, 1, 2])


@pytest.fixture(scope="module", params=["afclip_t24s_112", "afclip_t24m_160"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    case = golden(request.param)
    tower = case.tower("bilinear")
    masks = torch.cat([case.masks, torch.zeros(2, *case.masks.shape[1:])])
    samples = tuple(
        Sample(f"{row}.png", "golden", "bottle", "test", Path("x.png"), None, int(mask.any()), "hole")
        for row, mask in enumerate(masks)
    )
    parts = tower.encode(torch.cat([case.images, case.shots]), aggregated_taps(tower.spec))
    return Released(case.stored, tower, Features(samples, {**parts, MASK: masks}))


def close(found: Any, stored: Any, *, atol: float) -> None:
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, coarse))


def test_tokens_and_text_are_the_released_ones(released: Released) -> None:
    detector, stored = released.begin(), released.stored
    sets = list(neighbourhoods(released.tested, released.tower.spec))
    close(sets[9], stored["tap24"], atol=1e-4)
    close(sets[10][:1], stored["tap24_r3_first1"], atol=1e-4)
    close(sets[11][:1], stored["tap24_r5_first1"], atol=1e-4)
    for at, name in ((0, "tokens_tap6_r1"), (11, "tokens_tap24_r5")):
        close(released.tower.image.project(detector.adapter(sets[at])), stored[name], atol=1e-4)
    close(detector.anchors(), stored["text_start"], atol=1e-4)


def test_the_start_gives_the_released_scores_and_maps(released: Released) -> None:
    detector, stored = released.begin(), released.stored
    found = detector.predict(released.tested)
    close(found.scores, stored["start_scores"], atol=1e-4)
    close(found.maps[:, ::4, ::4], stored["start_maps"], atol=1e-4)
    patches = detector.probabilities(released.tested)[:, 1:]
    close(patches.reshape(stored["start_patch_maps"].shape), stored["start_patch_maps"], atol=1e-4)


@pytest.mark.parametrize(("prefix", "array"), [("w", "start_fewshot"), ("after4", "fewshot")])
def test_shots_give_the_released_scores_and_maps(released: Released, prefix: str, array: str) -> None:
    inspector = released.begin(shots=2, prefix=prefix).on("bottle", iter([released.rows([3, 4])]), iter(()))
    near, stored = inspector.distances(released.tested), released.stored
    close(near.reshape(stored["memory_patch_maps"].shape), stored["memory_patch_maps"], atol=1e-5)
    close(near.amax(1), stored["memory_scores"], atol=1e-5)
    found = inspector.predict(released.tested)
    close(found.scores, stored[f"{array}_scores"], atol=1e-4)
    close(found.maps[:, ::4, ::4], stored[f"{array}_maps"], atol=1e-4)


def test_the_released_weights_behind_four_steps_give_their_scores_and_maps(released: Released) -> None:
    detector, stored = released.begin(prefix="after4"), released.stored
    found = detector.predict(released.tested)
    close(detector.anchors(), stored["text_after4"], atol=1e-4)
    close(found.scores, stored["test_scores"], atol=1e-4)
    close(found.maps[:, ::4, ::4], stored["test_maps"], atol=1e-4)
    close(found.maps[0], stored["test_map_full0"], atol=1e-4)


def test_a_stopped_training_goes_on_with_the_same_digits(goes_on: Any) -> None:
    features = features_of(resolve("af-clip").needs(trial_tower().spec, "train"), ("bottle", "screw"))
    goes_on("af-clip", features, 1, epochs=2, size=4)


@pytest.mark.parametrize("option", ["epochs=-1", "lr=0", "sigma=-1", "text=-1", "shots=-1"])
def test_options_that_cannot_be_are_refused(option: str) -> None:
    with pytest.raises(BadOption, match=option):
        resolve(f"af-clip[{option}]")


def test_a_tower_that_is_not_there_is_told_so() -> None:
    for missing in ({"image": None}, {"text": None}):
        with pytest.raises(NotApplicable, match="tower is not there"):
            resolve("af-clip").begin(replace(task_of(), **missing))


def sampled(found: Tensor, stored: Any) -> tuple[Tensor, Tensor]:
    """What was found in the rows that are stored: all, or every eighth of a large matrix."""
    expected = torch.from_numpy(stored)
    return (found if found.numel() == expected.numel() else found[::8]).reshape(expected.shape), expected


def same_slopes(detector: Any, released: Released, array: str, names: Sequence[str]) -> None:
    detector.loss(released.rows(released.stored.given("batches")[0].tolist()))["loss"].backward()
    slopes = {name: each.grad for name, each in detector.named_parameters()}
    for name in names:
        found, expected = sampled(slopes[name], released.stored[f"{array}.{NAMES[name]}"])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))


def test_slopes_are_the_released_ones_for_both_targets(released: Released) -> None:
    same_slopes(released.begin("targets=overwritten"), released, "step1_grad", list(NAMES))
    same_slopes(released.begin(), released, "step1_grad_targets_kept", ["context", "adapter.norm.weight"])


def test_each_step_has_the_released_terms_and_weights(released: Released) -> None:
    detector, terms = released.begin("targets=overwritten"), []
    for step, batch in enumerate(released.stored.given("batches").tolist(), 1):
        found = detector.step(released.rows(batch), Moment(detector.stages[0], 0, step - 1, step == STEPS))
        terms.append([found[name] for name in ("score", "focal", "l1", "alignment")])
        if step in (1, STEPS):
            for ours, theirs in NAMES.items():
                now, expected = sampled(detector.state_dict()[ours].clone(), released.stored[f"after{step}.{theirs}"])
                assert ((now - expected).abs() > 1e-6 + 1e-3 * 1e-4 * step).float().mean() <= 0.005
    for at in range(4):
        close(np.array(terms)[:, at], released.stored["terms"][:, at], atol=5e-5)
