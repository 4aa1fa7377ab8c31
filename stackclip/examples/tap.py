"""A way through the image tower in one file, and the smallest method that reads what it gives.

A tap says shapes and blocks, and reads at a block; it is asked for as `block-step/6`, and cached like all parts.

Try it:

    stackclip check block-step
    stackclip bench --methods "clip-direct,block-step-length"
"""

from __future__ import annotations

import torch
from torch import Tensor

from stackclip.clip.sight import Sight
from stackclip.clip.tap import Tap
from stackclip.methods import Detector, Method, Phase, Task
from stackclip.ops.maps import pixels
from stackclip.registry import methods, taps
from stackclip.types import Features, Part, Prediction, TowerSpec


@taps.register("block-step")
class BlockStep(Tap):
    """`block-step/N`: what block N adds to the patches, (P, C)."""

    source = "a worked example"  # the paper or the code that it follows

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        """The shape for one picture; None for a part that the tower does not have."""
        return (tower.patches, tower.width) if part.index in range(1, tower.depth + 1) else None

    def read(self, sight: Sight, part: Part, carried: Tensor | None) -> Tensor:
        """The part (B, P, C) at its block; `carried` is what `carry` gave before, for ways that look at several."""
        return (sight.after - sight.before)[:, 1:]  # the class token comes first


@methods.register("block-step-length")
class BlockStepLength(Method):
    """How far the last block moves each patch: a longer step is more anomalous."""

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The part by its name, which is all that it takes to have it cached."""
        return frozenset({Part("block-step", tower.depth)} if phase == "test" else ())

    def begin(self, task: Task) -> BlockStepLengthDetector:
        """There is nothing to learn."""
        return BlockStepLengthDetector(task)


class BlockStepLengthDetector(Detector):
    """The method at work."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.part, self.frame = Part("block-step", task.tower.depth), task.tower.frame

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores (B,) and maps (B, H, W) of a batch."""
        maps = pixels(features[self.part].norm(dim=2), self.frame)
        return Prediction(maps.amax((1, 2)), maps)
