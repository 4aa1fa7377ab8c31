"""A method in one file: it names the parts that it needs, begins on a task, learns by batches, predicts by batches.

The class on the shelf holds options; `begin` makes a detector for one bench and seed. This one learns nothing, may be
shown normal pictures, and needs no text.

Try it:

    stackclip check odd-patch
    stackclip bench --methods "winclip,odd-patch,odd-patch[layer=4]"
    stackclip bench --methods "odd-patch[shots=2]"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from stackclip.errors import BadOption
from stackclip.methods import Detector, Inspector, Method, Phase, Task
from stackclip.ops.maps import pixels, unit
from stackclip.registry import methods
from stackclip.types import Features, Part, Prediction, TowerSpec, patch


@methods.register("odd-patch")
@dataclass(frozen=True, kw_only=True)
class OddPatch(Method):
    """How unlike the usual patch each patch is: 1 - cos to the mean patch of the picture, or of pictures known as good.

    `layer` is the block whose patch tokens are compared, the last unless given. `shots` normal pictures of each tested
    category are shown (`auto`: as many as the bench says).
    """

    layer: int | None = None
    shots: int | Literal["all"] | None = None

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        if self.layer is not None and self.layer < 1:
            raise BadOption(f"odd-patch: layer={self.layer}; wanted 1 or more")
        if isinstance(self.shots, int) and self.shots < 0:
            raise BadOption(f"odd-patch: shots={self.shots}; wanted 0 or more")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The parts that it reads of shots and of tested pictures; only these are encoded and given to it."""
        return frozenset({self.part(tower)} if phase in ("shots", "test") else ())

    def begin(self, task: Task) -> OddPatchDetector:
        """All that happens before the first batch; `task` has the tower's facts, its text side, categories and seed."""
        return OddPatchDetector(self, task)

    def part(self, tower: TowerSpec) -> Part:
        """The patch tokens that are compared."""
        return patch(tower.depth if self.layer is None else self.layer)


class OddPatchDetector(Detector):
    """The method at work on one bench.

    One that trains has `stages`, and a `step(features, at)` for each batch of them; this one has nothing to learn.
    """

    def __init__(self, method: OddPatch, task: Task) -> None:
        super().__init__()
        self.part, self.frame = method.part(task.tower), task.tower.frame
        self.facts = {"epochs": 0, "compared": str(self.part)}  # what its rows say of it

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """What it is for one tested category, once it has seen the category's shots; it is dropped with the category.

        A method without a use for shots leaves this out, and a bench with shots says so in its row.
        """
        return OddPatchInspector(self, shots)


class OddPatchInspector(Inspector):
    """The method on one category: beside the mean patch (C,) of the pictures shown, or else of each picture itself."""

    def __init__(self, detector: OddPatchDetector, shots: Iterator[Features]) -> None:
        self.part, self.frame = detector.part, detector.frame
        patches = [unit(features[self.part]).flatten(0, 1) for features in shots]  # a batch holds until the next comes
        self.usual = torch.cat(patches).mean(0) if patches else None

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores (B,) and maps (B, H, W) of a batch, the higher the more anomalous, each picture for itself."""
        tokens = unit(features[self.part])  # (B, P, C)
        usual = tokens.mean(1) if self.usual is None else self.usual.expand(len(tokens), -1)
        odd = 1 - (tokens @ unit(usual)[:, :, None])[:, :, 0]  # (B, P)
        maps = pixels(odd, self.frame)
        return Prediction(maps.amax((1, 2)), maps)
