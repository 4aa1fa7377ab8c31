"""Regulating prompt learning: what a step costs when two prompts go through the text tower, and not two a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stackclip.clip import load_tower
from stackclip.learners import Lesson, Regulated
from stackclip.ops.maps import unit
from stackclip.registry import learners
from stackclip.types import CLS, Features, Sample

PICTURES, BATCH = 2000, 16
SUBJECT = (
    "bottle cable capsule carpet grid hazelnut leather metal nut pill screw tile toothbrush transistor wood zipper"
)


class Step:
    """One step of Adam on a batch of random class tokens."""

    def __init__(self, tower: Any, *, repeats: int = 1) -> None:
        anchors = unit(tower.encode_text([f"a good {SUBJECT}", f"a damaged {SUBJECT}"]))
        self.learner: Regulated = learners.create("rpl").build(Lesson(tower.text, SUBJECT, anchors, 0))
        self.optimiser = torch.optim.Adam(self.learner.parameters(), lr=1e-3)
        draws = np.random.default_rng(0).standard_normal((BATCH, tower.spec.joint), np.float32)
        samples = tuple(
            Sample(f"{index}.png", "random", "bottle", "test", None, None, index % 2, "hole")  # type: ignore[arg-type]  # no picture is read
            for index in range(BATCH)
        )
        self.features = Features(samples, {CLS: torch.from_numpy(draws)})
        if repeats > 1:
            pair = self.learner.prompts
            encode = tower.text.encode_embedded

            class Often:
                """The text tower of prompts that depend on the picture: each pair is read once for each."""

                def encode_embedded(self, embedded: Any, ends: Any, **words: Any) -> Any:
                    return encode(embedded.repeat(repeats, 1, 1), ends.repeat(repeats), **words)[:2]

            pair.text = Often()

    def __call__(self) -> float:
        terms = self.learner.loss(self.features)
        self.optimiser.zero_grad()
        terms["loss"].backward()
        self.optimiser.step()
        return terms["loss"].item()


def test_two_prompts_a_step(race: Any, figure: Any) -> None:
    tower = load_tower("stackclip-tiny", device="cpu")
    ours, often = Step(tower), Step(tower, repeats=BATCH)
    assert ours() == pytest.approx(often(), rel=1e-5)
    outcome = race(ours, {"a pair a picture": often}, rounds=15)
    note = f"batch {BATCH}, 14 names in the stack"
    figure("RPL: a step, against prompts read for each picture", outcome.ratio, goal=">= 4", note=note)
    epoch = outcome.ours * PICTURES / BATCH
    figure(f"RPL: an epoch of {PICTURES} pictures, stackclip-tiny", epoch, goal="<= 60", unit="s", note=note)
