"""AnomalyDINO's recipe on CLIP's patches: few turned normal pictures, the object masked, the top hundredth counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from stackclip.errors import BadOption, NotApplicable
from stackclip.methods.memory import Surveyed, survey_of
from stackclip.methods.method import Detector, Draw, Inspector, Method, Phase, Task
from stackclip.methods.schedule import OPEN_CLIP_POSITIONS, check_shots, check_sigma
from stackclip.ops.foreground import MaskReach, foreground
from stackclip.ops.maps import largest_mean, pixels, smooth, unit
from stackclip.ops.mutual import lowest_pooled
from stackclip.ops.neighbours import Bank, engine_here
from stackclip.ops.words import size
from stackclip.registry import Removable, methods
from stackclip.types import Features, Part, Prediction, TowerSpec, in_view, patch

__all__ = ["AnomalyDino", "AnomalyDinoDetector", "tail_mean"]

_POOLED = 0.001  # of the patches of all other tested pictures, that a patch is compared with; as released
_TOP = 0.01  # of the patches, whose mean distance is the image score; as released
_ROOM = 8 << 30  # bytes of tested pictures that are compared with each other


@methods.register("anomaly-dino")
@dataclass(frozen=True, kw_only=True)
class AnomalyDino(Method):
    """AnomalyDINO's recipe (Damm et al. 2025) on CLIP: 1 - cos of patches to those of turned normal pictures.

    Patches are those of the last block behind the tower's last norm. Each shot is remembered in so many `rotations`
    (1: as it is). `mask=tested` counts the object alone: patches whose first principal component is above `threshold`,
    in units of its spread or, with `scale=raw`, of the component; `all` masks the shots too. The mask is closed over
    the `grid` of patches, with `closing=row` along them as one row, as released. A patch's distance is the mean to its
    `neighbours` nearest: 1 - cos, with `metric=l2` the root of the mean squared Euclidean one. Image score = the mean
    of the largest hundredth of the patches; maps are smoothed by `sigma`.

    It must be shown shots: `shots` normal pictures of each tested category (`all`: all that there are; `auto`: as many
    as the bench says); `draw` says whether one may be drawn twice. `references=tested` takes all other tested pictures
    in their place, and the nearest thousandth of their patches: zero-shot and transductive, at least two are wanted.
    """

    rotations: Annotated[int, Removable("turned normal pictures", off="1")] = 8
    mask: Annotated[Literal["tested", "all", "none"], Removable("mask of the object", off="none")] = "tested"
    threshold: float = 0.5
    scale: Literal["spread", "raw"] = "spread"
    closing: MaskReach = "grid"
    neighbours: int = 1
    metric: Literal["cosine", "l2"] = "cosine"
    sigma: float = 4.0
    references: Literal["shots", "tested"] = "shots"
    shots: int | Literal["all"] | None = None
    draw: Draw = "distinct"

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        check_shots(self.shots)
        check_sigma(self.sigma)
        if not 1 <= self.rotations <= 360:
            raise BadOption(f"rotations={self.rotations}; wanted 1 to 360")
        if self.neighbours < 1:
            raise BadOption(f"neighbours={self.neighbours}; wanted 1 or more")
        if not 0 <= self.threshold < math.inf:
            raise BadOption(f"threshold={self.threshold}; wanted 0 or more")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The last patches: of shots in all their rotations."""
        last = patch(tower.depth)
        if phase == "shots" and self.references == "shots":
            return frozenset(self.views(last))
        return frozenset({last} if phase == ("test" if self.references == "shots" else "survey") else ())

    def views(self, part: Part) -> tuple[Part, ...]:
        """A part of a shot in all rotations."""
        turns = [round(360 * turn / self.rotations) for turn in range(1, self.rotations)]
        return (part, *(turned for turn in turns for turned in in_view({part}, f"rot{turn}")))

    def begin(self, task: Task) -> AnomalyDinoDetector:
        """Nothing is known before there are pictures."""
        return AnomalyDinoDetector(self, task)


class AnomalyDinoDetector(Detector):
    """AnomalyDINO's recipe on one task."""

    def __init__(self, method: AnomalyDino, task: Task) -> None:
        super().__init__()
        if task.image is None:
            raise NotApplicable("anomaly-dino reads patches behind the image tower's last norm, and there is no tower")
        self.method, self.image = method, task.image
        self.part, self.frame = patch(task.tower.depth), task.tower.frame
        few = method.references == "shots"
        self.least_shots = 1 if few else 0
        self.facts = {
            "epochs": 0,
            "sigma": method.sigma,
            "paths": [str(part) for part in sorted(method.views(self.part) if few else {self.part})],
            "image_score": "the mean of the largest hundredth of the distances",
            "released_positions": OPEN_CLIP_POSITIONS,
            **({"neighbours": engine_here()} if few else {"transductive": "scores and maps"}),
        }

    @property
    def takes_shots(self) -> bool:
        """Whether shots are what it refers to."""
        return self.method.references == "shots"

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """What it is for a category: beside its shots, or beside the other tested pictures."""
        return BesideShots(self, shots) if self.takes_shots else BesideOthers(self)

    @torch.no_grad()
    def tokens(self, features: Features, part: Part | None = None) -> Tensor:
        """The patches (B, P, C) of pictures behind the tower's last norm."""
        return self.image.norm(features[part or self.part])

    def of_object(self, tokens: Tensor) -> Tensor:
        """Which of a picture's patches (P, C) are the object: (P,)."""
        spread = self.method.scale == "spread"
        return foreground(tokens, self.frame.grid, self.method.threshold, spread=spread, reach=self.method.closing)

    def masked(self, tokens: Tensor, distances: Tensor) -> Tensor:
        """The distances (P,) of the patches (P, C) of a tested picture, 0 where they are not the object."""
        return distances if self.method.mask == "none" else distances * self.of_object(tokens)

    def said(self, distances: Tensor) -> Prediction:
        """Scores and maps from the distances of patches (B, P)."""
        maps = pixels(distances, self.frame, align_corners=False)
        return Prediction(tail_mean(distances), smooth(maps, self.method.sigma))


class BesideShots(Inspector):
    """The recipe on one category: its bank of the patches of shots."""

    def __init__(self, detector: AnomalyDinoDetector, shots: Iterator[Features]) -> None:
        self.detector, method = detector, detector.method
        kept = [self._remembered(tokens) for features in shots for tokens in self._turned(features)]
        bank = torch.cat(kept) if kept else torch.empty(0, 1)
        if kept and not len(bank):
            raise NotApplicable(
                f"no patch of the normal pictures shown counts as the object: lower threshold={method.threshold:g}, or "
                "mask tested pictures alone, mask=tested"
            )
        self.bank = Bank(bank, metric="cosine" if method.metric == "cosine" else "squared")
        if method.mask != "none":
            self.why_no_graph = (
                f"mask={method.mask} cuts the object out by a singular value decomposition; take mask=none"
            )

    def _turned(self, features: Features) -> Iterator[Tensor]:
        """The patches (P, C) of shots in all rotations."""
        for part in self.detector.method.views(self.detector.part):
            yield from self.detector.tokens(features, part)

    def _remembered(self, tokens: Tensor) -> Tensor:
        return tokens[self.detector.of_object(tokens)] if self.detector.method.mask == "all" else tokens.clone()

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores and maps by the distances to the shots."""
        pictures = self.detector.tokens(features)
        return self.detector.said(torch.stack([self.detector.masked(each, self.distances(each)) for each in pictures]))

    def distances(self, tokens: Tensor) -> Tensor:
        """How far the patches (P, C) of a picture are from the shots': (P,)."""
        found = self.bank.distances(tokens, self.detector.method.neighbours)
        return found if self.detector.method.metric == "cosine" else found.sqrt()


class BesideOthers(Inspector):
    """The batched recipe on one category: each tested picture beside all others."""

    def __init__(self, detector: AnomalyDinoDetector) -> None:
        self.detector, self._found = detector, Surveyed(())

    @torch.inference_mode()
    def survey(self, tested: Callable[[], Iterator[Features]]) -> None:
        """The distances of all patches to the nearest of the other pictures'. Raises NotApplicable for too many."""
        samples, patches = survey_of(tested, self.detector.part)
        if (needed := patches.numel() * patches.element_size()) > _ROOM:
            raise NotApplicable(f"{len(samples)} pictures take {size(needed)}, more than {size(_ROOM)}: test fewer")
        tokens = self.detector.image.norm(patches)
        distances = lowest_pooled(unit(tokens), _POOLED)
        masked = [self.detector.masked(*each) for each in zip(tokens, distances, strict=True)]
        self._found = Surveyed(samples, torch.stack(masked))

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores and maps of pictures that were surveyed."""
        [distances] = self._found.of(features.samples)
        return self.detector.said(distances)


def tail_mean(distances: Tensor) -> Tensor:
    """The mean of the largest hundredth of the patches (B, P), of fewer than a hundred the largest: (B,)."""
    return largest_mean(distances, max(1, int(_TOP * distances.shape[1])))
