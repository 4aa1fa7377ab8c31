"""One scan teaches many: each is given the batches that it would be given alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from stackclip.errors import BrokenPlugin, NonFiniteScores
from stackclip.methods import Moment, Stage, Terms
from stackclip.training.failures import Failures
from stackclip.training.scan import Training
from stackclip.training.trainee import Trainee
from stackclip.types import CLS, MASK, Features, Sample, patch

Pictures = tuple[Sample, ...]


@pytest.fixture
def trainee(noting: Any) -> Callable[..., Trainee]:
    def make(name: str, pictures: Pictures, *stages: Stage) -> Trainee:
        return Trainee(name, noting(*stages), pictures, frozenset({CLS}))

    return make


@pytest.fixture
def taught(numbers: Any, pictures: Pictures) -> Callable[..., Any]:
    """Teaches trainees from a source of numbers, and gives it."""

    def teach(*trainees: Trainee) -> Any:
        source = numbers(pictures)
        Training(source, pictures, 0, Failures()).teach(trainees)
        return source

    return teach


def order(pictures: Pictures, epoch: int) -> list[int]:
    return np.random.default_rng([0, epoch]).permutation(len(pictures)).tolist()


def batches(numbers: list[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(numbers[at : at + size]) for at in range(0, len(numbers), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
def test_epochs_are_cut_to_a_methods_own_size_and_follow_the_common_order(
    pictures: Pictures, size: int, trainee: Any, taught: Any
) -> None:
    one = trainee("one", pictures, Stage("all", 3, size))
    other = trainee("other", pictures, Stage("all", 2, 5))
    source = taught(one, other)
    assert one.working.batches == [each for epoch in range(3) for each in batches(order(pictures, epoch), size)]
    assert other.working.batches == [each for epoch in range(2) for each in batches(order(pictures, epoch), 5)]
    assert [size for _, _, size in source.asked] == [max(size, 5), max(size, 5), size]  # one reading an epoch for both


def test_stages_follow_each_other_and_say_where_they_are(pictures: Pictures, trainee: Any, taught: Any) -> None:
    first, second = Stage("first", 2, 4), Stage("second", 1, 7, frozenset({CLS, patch(2)}))
    one = trainee("one", pictures, first, Stage("none", 0, 1), second)
    source = taught(one)
    found = [(at.stage, at.epoch, at.step, at.last) for at in one.working.moments]
    assert found == [
        (first, 0, 0, False),
        (first, 0, 1, True),
        (first, 1, 2, False),
        (first, 1, 3, True),
        (second, 0, 0, True),
    ]
    assert [parts for _, parts, _ in source.asked] == [{CLS}, {CLS}, {CLS, patch(2)}]
    assert (one.epoch, one.steps, one.finished, len(one.losses)) == (3, 5, True, 3)


def test_what_one_cannot_use_is_left_out_for_it_alone(pictures: Pictures, trainee: Any, taught: Any) -> None:
    whole, some = trainee("whole", pictures, Stage("all", 2, 3)), trainee("some", pictures[2:], Stage("all", 2, 3))
    taught(whole, some)
    assert whole.working.batches == [each for epoch in range(2) for each in batches(order(pictures, epoch), 3)]
    left = [[number for number in order(pictures, epoch) if number >= 2] for epoch in range(2)]
    assert some.working.batches == [each for numbers in left for each in batches(numbers, 3)]


def test_one_that_comes_later_in_its_training_sees_what_it_would_have_seen(
    pictures: Pictures, trainee: Any, taught: Any
) -> None:
    late, early = trainee("late", pictures, Stage("all", 3, 2)), trainee("early", pictures, Stage("all", 3, 2))
    late.epoch, late.steps = 2, 8
    taught(late, early)
    assert late.working.batches == batches(order(pictures, 2), 2)
    assert early.working.batches == [each for epoch in range(3) for each in batches(order(pictures, epoch), 2)]


def test_losses_are_means_over_pictures(pictures: Pictures, trainee: Any, taught: Any) -> None:
    one = trainee("one", pictures, Stage("all", 1, 4))
    taught(one)
    assert one.losses == [{"loss": pytest.approx(np.mean(range(7)))}]


class OnDevice(torch.Tensor):
    """A number that is waited for where it is read."""

    waited = 0

    def __float__(self) -> float:
        type(self).waited += 1
        return float(self.as_subclass(torch.Tensor))


def on_device(value: float) -> OnDevice:
    return torch.tensor(value).as_subclass(OnDevice)  # type: ignore[no-any-return]


def test_what_is_on_a_device_is_waited_for_at_the_end_of_an_epoch(
    pictures: Pictures, trainee: Any, taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = trainee("here", pictures, Stage("all", 2, 2)), trainee("there", pictures, Stage("all", 2, 2))
    monkeypatch.setattr(OnDevice, "waited", 0)
    waited = []

    def step(features: Features, at: Moment) -> Terms:
        waited.append(OnDevice.waited)
        return {"loss": on_device(float(features[CLS].mean()))}

    there.working.step = step
    taught(here, there)
    assert waited == [0, 0, 0, 0, 4, 4, 4, 4]  # before each step of two epochs
    assert (there.losses, there.terms) == (here.losses, here.terms)


def test_a_loss_on_a_device_that_is_no_number_is_told_at_the_end_of_its_epoch(
    pictures: Pictures, trainee: Any, taught: Any
) -> None:
    bad = trainee("bad", pictures, Stage("all", 2, 2))
    bad.working.step = lambda features, at: {"loss": on_device(float("inf" if at.step == 1 else 1))}
    taught(bad)
    assert bad.error == "loss is inf in epoch 1 of training"
    assert bad.steps == 4


def test_one_that_fails_stops_and_the_others_go_on(pictures: Pictures, trainee: Any, taught: Any) -> None:
    bad, good = trainee("bad", pictures, Stage("all", 2, 2)), trainee("good", pictures, Stage("all", 2, 2))
    bad.working.step = lambda features, at: {"loss": float("nan" if at.step == 1 else 1)}  # type: ignore[method-assign]
    taught(bad, good)
    assert bad.error == "loss is nan in epoch 1 of training"
    assert (bad.steps, good.steps, good.error) == (2, 8, "")


def test_with_fail_fast_the_first_error_is_raised(pictures: Pictures, trainee: Any, numbers: Any) -> None:
    for step, error, words in (
        (lambda features, at: {"loss": float("nan")}, NonFiniteScores, "loss is nan"),
        (lambda features, at: {"map": 1.0}, BrokenPlugin, "bad: its step"),
    ):
        bad = trainee("bad", pictures, Stage("all", 1, 2))
        bad.working.step = step  # type: ignore[method-assign]
        with pytest.raises(error, match=words):
            Training(numbers(pictures), pictures, 0, Failures(fail_fast=True)).teach([bad])


def test_progress_counts_pictures_of_all_epochs(pictures: Pictures, trainee: Any, numbers: Any) -> None:
    told: list[tuple[str, int, int]] = []
    long, short = trainee("long", pictures, Stage("all", 2, 4)), trainee("short", pictures, Stage("all", 1, 2))
    training = Training(numbers(pictures), pictures, 0, Failures(), lambda *words: told.append(words))
    training.teach([long, short])
    assert told == [("", 4, 14), ("", 7, 14), ("", 11, 14), ("", 14, 14)]


def test_progress_of_stages_that_are_alone_is_told_by_stage(pictures: Pictures, trainee: Any, numbers: Any) -> None:
    told: list[tuple[str, int, int]] = []
    stages = Stage("text", 1, 4), Stage("image", 2, 7)
    one, short = trainee("one", pictures, *stages), trainee("short", pictures, Stage("all", 1, 4))
    training = Training(numbers(pictures), pictures, 0, Failures(), lambda *words: told.append(words))
    training.teach([one, short])
    assert told == [("", 4, 21), ("", 7, 21), ("image", 7, 14), ("image", 14, 14)]
    told.clear()
    training.teach([trainee("again", pictures, *stages)])
    assert told == [("text", 4, 7), ("text", 7, 7), ("image", 7, 14), ("image", 14, 14)]


def test_masks_come_with_a_stage_that_names_other_parts(pictures: Pictures, taught: Any, noting: Any) -> None:
    one = Trainee("one", noting(Stage("all", 1, 4, frozenset({CLS}))), pictures, frozenset({patch(1), MASK}))
    assert taught(one).asked == [(7, frozenset({CLS, MASK}), 4)]
