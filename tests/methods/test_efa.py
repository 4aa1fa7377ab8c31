"""Ensemble feature alignment trains each set on batches of its own pictures, as if it were alone (decision 0030)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.heads import Projections
from stackclip.methods import Moment, PromptedDetector, resolve
from stackclip.types import CLS, MASK, Features

At = Callable[..., Moment]
CATEGORIES = ("bottle", "cable", "pill", "zipper", "screw")
SIZE = 3


@pytest.fixture(scope="module")
def pictures() -> Features:
    """Two pictures of each category, shuffled."""
    features = features_of(frozenset({*trial_tower().spec.taps, CLS, MASK}), CATEGORIES)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(1))
    samples = tuple(features.samples[index] for index in order)
    return Features(samples, {part: tensor[order] for part, tensor in features.parts.items()})


def some(features: Features, rows: list[int]) -> Features:
    return Features(
        tuple(features.samples[row] for row in rows), {part: tensor[rows] for part, tensor in features.parts.items()}
    )


def begin(spec: str, pictures: Features, **changes: object) -> PromptedDetector:
    given = {"categories": CATEGORIES, "batch_size": SIZE, "pictures": len(pictures)}
    return resolve(spec).begin(replace(task_of(), **{**given, **changes}))


def scans(detector: PromptedDetector, pictures: Features) -> list[list[float]]:
    """Train as the runner does, from a buffer that is used again; the losses of each epoch."""
    starts = range(0, len(pictures), SIZE)
    losses = []
    for stage in detector.stages:
        for epoch in range(stage.epochs):
            losses.append([])
            for index, start in enumerate(starts):
                batch = some(pictures, list(range(start, min(len(pictures), start + SIZE))))
                moment = Moment(stage, epoch, epoch * len(starts) + index, last=start == starts[-1])
                losses[-1].append(detector.step(batch, moment).get("loss", 0.0) * len(batch) / len(pictures))
                for tensor in batch.parts.values():
                    tensor.fill_(float("nan"))
    return losses


def test_sets_trained_in_one_scan_are_those_trained_alone_on_their_own_pictures(pictures: Features):
    detector = begin("stackclip[learner=none,clusters=2,epochs=2,lr=1e-2]", pictures)
    start = {name: tensor.clone() for name, tensor in detector.head.state_dict().items()}
    losses = scans(detector, pictures)
    wanted = [0.0, 0.0]
    for index in range(2):
        alone = Projections(trial_tower().spec, 1, seed=0)
        alone.load_state_dict({f"fc.0.{name[5:]}": t for name, t in start.items() if name.startswith(f"fc.{index}.")})
        optimiser = torch.optim.Adam(alone.parameters(), lr=1e-2, betas=(0.5, 0.999))
        rows = [row for row, name in enumerate(pictures.categories) if detector.texts.stack_of(name) == index]
        steps = 0
        for epoch in range(2):
            for first in range(0, len(rows), SIZE):
                batch = some(pictures, rows[first : first + SIZE])
                anchors = torch.stack([detector.texts.training_anchors(name) for name in batch.categories])
                optimiser.zero_grad()
                loss = alone.loss(batch, anchors, torch.zeros(len(batch), dtype=torch.long))
                loss.backward()
                optimiser.step()
                steps += 1
                wanted[epoch] += loss.item() * len(batch) / len(pictures)
        for name, tensor in alone.state_dict().items():
            torch.testing.assert_close(detector.head.state_dict()[f"fc.{index}.{name[5:]}"], tensor, atol=1e-6, rtol=0)
        assert detector.facts["schedule"]["head"]["steps"][index] == steps
    assert [sum(epoch) for epoch in losses] == pytest.approx(wanted, rel=1e-5)


def test_the_mixed_way_steps_every_set_that_has_a_picture_in_the_batch(pictures: Features, at: At):
    detector = begin("stackclip[learner=none,clusters=2,head=efa[batches=mixed]]", pictures)
    assert detector.queues is None
    stacks = [detector.texts.stack_of(name) for name in pictures.categories]
    moved = [0, 0]
    for start in range(0, len(pictures), SIZE):
        before = [detector.head.fc[index][0].weight.clone() for index in range(2)]
        detector.step(some(pictures, list(range(start, min(len(pictures), start + SIZE)))), at(detector))
        for index in range(2):
            steps = not torch.equal(before[index], detector.head.fc[index][0].weight)
            assert steps == (index in stacks[start : start + SIZE])
            moved[index] += steps
    assert sum(moved) > -(-len(pictures) // SIZE)


def test_a_batch_in_which_no_set_has_enough_has_no_loss_and_the_learner_goes_on(pictures: Features, at: At):
    detector = begin("stackclip[clusters=2]", pictures, batch_size=8)
    assert set(detector.step(some(pictures, [0, 1]), at(detector))) == {"loss", "rpl_ce", "rpl_mse"}
    bare = begin("stackclip[clusters=2,learner=none]", pictures, batch_size=8)
    assert bare.step(some(pictures, [0, 1]), at(bare)) == {}
    assert set(bare.step(some(pictures, [2]), at(bare, last=True))) == {"loss"}  # what waits is learned from


def test_one_cluster_is_a_linear_head_to_the_last_bit(pictures: Features):
    efa, linear = (begin(f"stackclip[learner=none,clusters=1,head={head}]", pictures) for head in ("efa", "linear"))
    scans(efa, pictures)
    scans(linear, pictures)
    assert all(
        torch.equal(one, other) for one, other in zip(efa.head.parameters(), linear.head.parameters(), strict=True)
    )
    assert (
        efa.facts["schedule"]
        == linear.facts["schedule"]
        == {"head": {"epochs": 2, "lr": 1e-3, "batch": SIZE, "steps": 8}}
    )


def test_what_was_learned_brings_its_steps_back(pictures: Features):
    detector = begin("stackclip[clusters=2]", pictures)
    scans(detector, pictures)
    again = begin("stackclip[clusters=2]", pictures, seed=1)
    again.load_state_dict(detector.state_dict())
    assert again.facts["schedule"] == detector.facts["schedule"]
    assert sum(again.facts["schedule"]["head"]["steps"]) > 0
    assert again.facts["schedule"]["learner"] == {"epochs": 1, "lr": 1e-3, "batch": SIZE, "steps": 4}
