"""VisualAD by itself: gradients, a training that is stopped, what it says, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from stackclip.clip import random_tower
from stackclip.contracts.trial import CATEGORIES, features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import Moment, Stage, resolve
from stackclip.methods.visualad import START, top_mean
from stackclip.types import Features


@pytest.fixture
def features() -> Features:
    return features_of(frozenset({START}), CATEGORIES)


def begun(options: str = "", **changes: Any) -> Any:
    """The method on the trial task."""
    return resolve(f"visualad[{options}]").begin(task_of(**changes))


@pytest.mark.parametrize("piece", ["tokens", "norm", "attention", "alignment"])
def test_a_gradient_is_the_slope_of_the_loss_in_float64(features: Features, piece: str) -> None:
    tower = random_tower(image_size=32)
    tower.model.double()
    detector = begun("dropout=0", image=tower.image)
    detector.learned.double()
    batch = Features(features.samples, {part: tensor.double() for part, tensor in features.parts.items()})
    with torch.no_grad():
        for attention in detector.learned.attention:
            attention.share.fill_(1.0)  # what it adds is small at the start, and its slopes are
    detector.loss(batch)["loss"].backward()
    for name, parameter in detector.learned.named_parameters():
        if not name.startswith(f"{piece}.") or name.endswith("key_norm.bias"):  # the softmax takes no notice of that
            continue
        place = int(parameter.grad.abs().argmax())
        slope, step, ends = parameter.grad.flatten()[place].item(), 1e-5, []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[place] += sign * step
                ends.append(detector.loss(batch)["loss"].item())
                parameter.view(-1)[place] -= sign * step
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-10), name


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_training_goes_on_with_the_same_digits_dropout_too(
    goes_on: Any, features: Features, stop: int
) -> None:
    resumed, whole = goes_on("visualad[epochs=3]", features, stop, epochs=3, size=4)
    one, other = (each.working.predict(features) for each in (resumed, whole))
    assert torch.equal(one.maps, other.maps)


def test_what_a_store_keeps_trains_as_the_live_picture_does(features: Features) -> None:
    kept = replace(features, parts={**features.parts, START: features[START].half().float()})
    live, stored = begun("epochs=20"), begun("epochs=20")
    for epoch in range(20):
        at = Moment(live.stages[0], epoch, 0, True)
        one, other = live.step(features, at), stored.step(kept, at)
        assert one == pytest.approx(other, rel=1e-3)


def test_the_tokens_rate_falls_as_a_cosine_by_epochs_to_that_of_the_others(features: Features) -> None:
    detector, rates = begun("epochs=4"), []
    [stage] = detector.stages
    for epoch in range(4):
        for step in range(2):
            rates.append([group["lr"] for group in detector.optimiser.param_groups])
            detector.step(features, Moment(stage, epoch, step, last=step == 1))
    expected = [1e-4 + 9e-4 * share for share in (1, 0.853553, 0.5, 0.146447) for _ in range(2)]
    assert [tokens for tokens, _ in rates] == pytest.approx(expected, rel=1e-5)
    assert [others for _, others in rates] == pytest.approx([1e-4] * 8)


def test_dropout_is_drawn_from_the_seed_in_training_alone(features: Features) -> None:
    one, again, other, still = begun(), begun(), begun(seed=1), begun("dropout=0")
    losses = [float(each.loss(features)["loss"].detach()) for each in (one, one, again, again, other)]
    assert losses[:2] == losses[2:4]
    assert len(set(losses)) == 3
    assert torch.equal(one.predict(features).maps, still.predict(features).maps)
    assert torch.equal(still.loss(features)["loss"], still.loss(features)["loss"])


def test_a_picture_is_told_alike_alone_and_in_a_batch_and_its_score_is_the_mean_of_its_largest_pixels(
    features: Features,
) -> None:
    detector = begun()
    together = detector.predict(features)
    for row in range(len(features)):
        alone = detector.predict(features.rows(row, row + 1))
        torch.testing.assert_close(alone.maps[0], together.maps[row], atol=1e-6, rtol=0)
        largest = together.maps[row].flatten().sort(descending=True).values[:11]  # of 32 x 32
        torch.testing.assert_close(together.scores[row], largest.mean())


def test_the_largest_hundredth_is_rounded_up() -> None:
    maps = torch.arange(225.0).reshape(1, 15, 15)
    assert top_mean(maps).tolist() == [223.0]  # of 224, 223 and 222


def test_training_pulls_the_tokens_apart_and_the_towers_stay(features: Features) -> None:
    before = {name: each.clone() for name, each in trial_tower().model.state_dict().items()}
    detector = begun("dropout=0,lr=1e-2,epochs=20")
    [stage] = detector.stages
    losses = [detector.step(features, Moment(stage, epoch, 0, True)) for epoch in range(20)]
    assert losses[-1]["relation"] < 0.9 * losses[0]["relation"]
    assert losses[-1]["loss"] < losses[0]["loss"]
    assert all(torch.equal(each, before[name]) for name, each in trial_tower().model.state_dict().items())


def test_the_towers_norm_at_test_gives_other_maps_once_ours_has_learned(features: Features) -> None:
    own, towers = begun(), begun("test_norm=tower")
    assert torch.equal(own.predict(features).maps, towers.predict(features).maps)
    for each in (own, towers):
        each.step(features, Moment(each.stages[0], 0, 0, True))
    assert not torch.equal(own.predict(features).maps, towers.predict(features).maps)


def test_the_tokens_are_those_of_the_last_block_whichever_layers_are_tapped(features: Features) -> None:
    spec = replace(trial_tower().spec, layers=(2, 3))
    detector = begun("dropout=0", tower=spec)
    detector.learned.eval()
    hidden, front = features[START], detector.learned.tokens(detector.image)
    end = detector.image.norm(detector.image.resume(hidden, 1, insert=front)[spec.depth])
    third = detector.image.norm(detector.image.resume(hidden, 1, insert=front, stops=(3,))[3])
    _, tokens = detector.see(hidden, detector.image.norm)
    torch.testing.assert_close(tokens, detector.learned.attention[1](end[:, :2], third[:, 3:]))


@pytest.mark.parametrize(("train_on", "epochs"), [(("mvtec",), 2), (("visa",), 1), (("synthetic",), 1)])
def test_it_says_how_it_trains_as_released_for_each_direction(train_on: tuple[str, ...], epochs: int) -> None:
    detector = begun(train_on=train_on)
    assert detector.stages == (Stage("tokens", epochs, 8),)
    assert detector.facts["schedule"] == {"tokens": {"epochs": epochs, "lr": 1e-3, "batch": 8, "steps": epochs}}
    assert detector.facts["released_positions"] == "bilinear"
    json.dumps(dict(detector.facts))
    assert begun("epochs=5", train_on=train_on).stages[0].epochs == 5
    assert begun("epochs=0").stages == ()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("anchors=0", "anchors=0; wanted 1 or more"),
        ("dropout=1", "dropout=1.0; wanted 0 to less than 1"),
        ("dropout=-0.1", "dropout=-0.1; wanted 0 to less than 1"),
        ("sigma=-1", "sigma=-1"),
        ("epochs=-1", "epochs=-1"),
        ("lr=0", "lr=0"),
        ("test_norm=other", "other"),
    ],
)
def test_options_that_cannot_be_are_refused(option: str, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        resolve(f"visualad[{option}]")


def test_without_an_image_tower_it_does_not_begin() -> None:
    with pytest.raises(NotApplicable, match="visualad learns through the image tower, and there is none"):
        begun(image=None)
