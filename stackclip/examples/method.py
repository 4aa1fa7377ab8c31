"""A method in one file: it names the parts that it needs, begins on a task, learns by batches, predicts by batches.

The class on the shelf holds options; `begin` makes a detector for one bench and seed. This one learns nothing, may be
shown normal pictures, and needs no text.

Try it:

    stackclip check odd-patch
    stackclip bench --methods "winclip,odd-patch,odd-patch[layer=4]"
    stackclip bench --methods "odd-patch[shots=2]"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import Task
from stackclip.ops.maps import pixels, unit
from stackclip.registry import methods
from stackclip.types import Features, Part, Prediction, TowerSpec, patch


@methods.register("odd-patch")
@dataclass(frozen=True, kw_only=True)
class OddPatch:
    """How unlike the usual patch each patch is: 1 - cos to the mean patch of the picture, or of pictures known as good.

    `layer` is the block whose patch tokens are compared, the last unless given. `shots` normal pictures of each tested
    category are shown (`auto`: as many as the bench says).
    """

    layer: int | None = None
    shots: int | None = None

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        if self.layer is not None and self.layer < 1:
            raise BadOption(f"odd-patch: layer={self.layer}; wanted 1 or more")
        if self.shots is not None and self.shots < 0:
            raise BadOption(f"odd-patch: shots={self.shots}; wanted 0 or more")

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The parts that it reads; only these are encoded, kept and given to the detector."""
        return frozenset({self.part(tower)})

    def begin(self, task: Task) -> OddPatchDetector:
        """All that happens before the first batch; `task` has the tower's facts, its text side, categories and seed."""
        return OddPatchDetector(self, task)

    def part(self, tower: TowerSpec) -> Part:
        """The patch tokens that are compared."""
        return patch(tower.depth if self.layer is None else self.layer)


class OddPatchDetector(nn.Module):
    """The method at work on one bench. As an `nn.Module` it has `state_dict`; nothing of it is learned."""

    epochs = 0  # passes over the training pictures

    def __init__(self, method: OddPatch, task: Task) -> None:
        super().__init__()
        self.part, self.side = method.part(task.tower), task.tower.image_size
        self.usual: dict[str, Tensor] = {}  # the mean patch of the pictures shown, by category: (C,)
        self.facts: dict[str, Any] = {"epochs": 0, "compared": str(self.part)}  # what its rows say of it

    def step(self, features: Features) -> Mapping[str, float]:
        """Learn from a training batch, and return the loss by term; this one has `epochs` 0 and is not asked."""
        raise NotApplicable("it learns nothing")

    def remember(self, category: str, features: Features) -> None:
        """Look at the normal pictures of a category that is tested, if the bench has shots.

        A method without a use for them raises NotApplicable when it begins: `refuse_shots(task.shots)`.
        """
        self.usual[category] = unit(features[self.part]).mean((0, 1))

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores (B,) and maps (B, H, W) of a batch, the higher the more anomalous, each picture for itself."""
        tokens = unit(features[self.part])  # (B, P, C)
        usual = [
            self.usual.get(category, own) for category, own in zip(features.categories, tokens.mean(1), strict=True)
        ]
        odd = 1 - (tokens @ unit(torch.stack(usual))[:, :, None])[:, :, 0]  # (B, P)
        maps = pixels(odd, self.side)
        return Prediction(maps.amax((1, 2)), maps)

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """The final scores (N,) of a whole category, from its scores and the maxima of its maps; here as they are."""
        return scores
