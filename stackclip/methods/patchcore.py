"""PatchCore: a coreset of the patches of normal pictures, and how far those of a picture are from it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.errors import BadOption, NotApplicable
from stackclip.methods.method import Detector, Draw, Inspector, Method, Phase, Task
from stackclip.methods.schedule import OPEN_CLIP_POSITIONS, check_shots, check_sigma
from stackclip.ops.coresets import farthest_first, mean_distances, row_norms
from stackclip.ops.maps import local_means, pixels, smooth
from stackclip.ops.neighbours import Bank, engine_here
from stackclip.registry import Removable, methods
from stackclip.sizes import Size
from stackclip.types import Features, Part, Prediction, TowerSpec

__all__ = ["PatchCore", "PatchCoreDetector", "PatchCoreInspector", "coreset", "joined_patches"]

logger = logging.getLogger(__name__)

Sampler = Literal["approximate", "exact"]
_AROUND = 3  # patches a side whose mean describes one, as released
_STARTS = 10  # random patches from which the approximate sampler measures at the start, as released
_PROJECTED = 128  # numbers that a patch is projected to for the approximate sampler, as released


@methods.register("patchcore-clip")
@dataclass(frozen=True, kw_only=True)
class PatchCore(Method):
    """PatchCore on CLIP's patches (Roth et al. 2022): distances to a coreset of the patches of normal pictures.

    A patch is described by the mean of the 3 x 3 around it after a quarter and after half of the blocks. `join=merged`
    averages neighbouring channels of the two until there are as many as the tower has, `concat` keeps all. The bank is
    a `share` of all patches, chosen greedily, each the farthest from those before: `sampler=approximate`, as the
    released scripts, from distances of random projections to 128 numbers, and to 10 random patches at the start;
    `exact` from the distances themselves. Score of a patch = mean squared distance to its nearest `neighbours`;
    maps are smoothed by `sigma`, image score = the largest of the patches.

    It must be shown shots: `shots` normal pictures of each tested category (`all`: all that there are; `auto`: as many
    as the bench says); `draw` says whether one may be drawn twice. Of more pictures than fit into `room` GB before the
    coreset is chosen as many as do are drawn by the seed.
    """

    least_shots: ClassVar[int] = 1
    sampler: Sampler = "approximate"
    share: Annotated[float, Removable("coreset", off="1")] = 0.1
    join: Literal["merged", "concat"] = "merged"
    neighbours: int = 1
    sigma: float = 4.0
    room: float = 2.0
    shots: int | Literal["all"] | None = None
    draw: Draw = "distinct"

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        check_shots(self.shots)
        check_sigma(self.sigma)
        if not 0 < self.share <= 1:
            raise BadOption(f"share={self.share}; wanted more than 0 and at most 1")
        if self.neighbours < 1:
            raise BadOption(f"neighbours={self.neighbours}; wanted 1 or more")
        if not 0 < self.room < math.inf:
            raise BadOption(f"room={self.room}; wanted a number of GB above 0")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The patches that are remembered, and those that are compared."""
        return frozenset(self.parts(tower) if phase in ("shots", "test") else ())

    def parts(self, tower: TowerSpec) -> tuple[Part, ...]:
        """The patches after the first two stages. Raises NotApplicable for a tower that has one."""
        if len(tower.taps) < 2:
            raise NotApplicable(f"it joins the patches of two layers, but {tower.name} has {len(tower.taps)}")
        return tower.taps[:2]

    def begin(self, task: Task) -> PatchCoreDetector:
        """Nothing is known before shots are there."""
        return PatchCoreDetector(self, task)


class PatchCoreDetector(Detector):
    """PatchCore on one task; each category has a bank of its own."""

    least_shots = PatchCore.least_shots
    seed: Tensor

    def __init__(self, method: PatchCore, task: Task) -> None:
        super().__init__()
        self.method, self.tower, self.parts = method, task.tower, method.parts(task.tower)
        self.register_buffer("seed", torch.tensor(task.seed))  # what all draws begin from
        self.facts = {
            "epochs": 0,
            "sigma": method.sigma,
            "paths": [str(part) for part in self.parts],
            "image_score": "the largest distance of a patch",
            "neighbours": engine_here(),
            "released_positions": OPEN_CLIP_POSITIONS,
        }

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """The distances to the coreset of the category's shots."""
        draws = torch.Generator().manual_seed(int(self.seed))
        pictures, seen = self._drawn(shots, draws)
        if len(pictures) < seen:
            logger.warning(
                "patchcore-clip, %s: the patches of %d of %d normal pictures fit into room=%g GB and were drawn by the "
                "seed; the others are not remembered",
                category,
                len(pictures),
                seen,
                self.method.room,
            )
        patches = torch.cat(pictures)  # (N, C)
        kept = len(pictures)
        pictures.clear()
        chosen = coreset(patches, self.method.share, sampler=self.method.sampler, draws=draws)
        calibrated = {"remembered": {"pictures": kept, "of": seen, "patches": len(chosen), "of_patches": len(patches)}}
        return PatchCoreInspector(self, patches[chosen], calibrated)

    def described(self, features: Features) -> Tensor:
        """The patches of pictures as they are remembered and compared: (B, P, C)."""
        layers, merged = [features[part] for part in self.parts], self.method.join == "merged"
        return joined_patches(layers, merged=merged, grid=self.tower.frame.grid)

    def _drawn(self, shots: Iterator[Features], draws: torch.Generator) -> tuple[list[Tensor], int]:
        """The patches (P, C) of as many pictures as there is room for, each as likely as any; and how many came.

        Vitter's reservoir (1985): of a stream, in the memory of what is kept.
        """
        kept, seen = list[Tensor](), 0
        for features in shots:
            for picture in self.described(features):
                room = max(1, int(self.method.room * 2**30 / (picture.numel() * picture.element_size())))
                place = seen if seen < room else int(torch.randint(seen + 1, (), generator=draws))
                seen += 1
                if place < room:
                    kept[place : place + 1] = [picture.clone()]
        return kept, seen


class PatchCoreInspector(Inspector):
    """PatchCore on one category: its bank (M, C)."""

    def __init__(self, detector: PatchCoreDetector, bank: Tensor, calibrated: dict[str, Any]) -> None:
        self.detector, self.bank, self.calibrated = detector, Bank(bank, metric="squared"), calibrated

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores: the largest distance of a patch. Maps: the distances, upsampled and smoothed."""
        distances = self.distances(self.detector.described(features))
        maps = pixels(distances, self.detector.tower.frame, align_corners=False)
        return Prediction(distances.amax(1), smooth(maps, self.detector.method.sigma))

    def distances(self, patches: Tensor) -> Tensor:
        """How far patches (B, P, C) are from the bank: (B, P), squared."""
        return torch.stack([self.bank.distances(each, self.detector.method.neighbours) for each in patches])


def joined_patches(layers: list[Tensor], *, merged: bool, grid: Size) -> Tensor:
    """Patches by the means of the 3 x 3 around them in some layers, each (B, P, C), side by side.

    `merged`: averaged over neighbouring channels to C again (the released code's adaptive pooling).
    """
    joined = torch.cat([local_means(tokens, _AROUND, grid) for tokens in layers], dim=-1)
    return F.adaptive_avg_pool1d(joined, layers[0].shape[-1]) if merged else joined


def coreset(patches: Tensor, share: float, *, sampler: Sampler, draws: torch.Generator) -> Tensor:
    """The places (n,) of a `share` of patches (N, C), at least one, near all others. PatchCore, algorithm 1."""
    count = max(1, int(len(patches) * share))
    if sampler == "exact":
        return farthest_first(patches, count, row_norms(patches))
    bound = patches.shape[1] ** -0.5  # of what an untrained nn.Linear has
    projection = (2 * torch.rand(_PROJECTED, patches.shape[1], generator=draws) - 1) * bound
    points = patches @ projection.to(patches).mT  # (N, 128)
    starts = torch.randperm(len(points), generator=draws)[:_STARTS]
    return farthest_first(points, count, mean_distances(points, points[starts.to(points.device)]))
