"""CLIP-LAD: parts that are missing or too many, and patches that are strange, by a few normal pictures (2025)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from stackclip.data.names import CategoryNames
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods.memory import PatchMemory
from stackclip.methods.method import Detector, Draw, Inspector, Method, Phase, Task
from stackclip.methods.schedule import OPEN_CLIP_POSITIONS, check_shots
from stackclip.methods.segmenter import PartAnchors, PartMask, RegionSegmenter, Segmenter, centres_of
from stackclip.ops.histograms import LEAST_NORMAL, Normality, Ratio, histogram_distance
from stackclip.ops.maps import pixels
from stackclip.ops.neighbours import engine_here
from stackclip.ops.spread import evenly
from stackclip.prompts.parts import parts_for, read_parts
from stackclip.registry import Removable, methods
from stackclip.types import Features, Part, Prediction, TowerSpec

__all__ = ["ClipLad", "ClipLadDetector", "ClipLadInspector"]

logger = logging.getLogger(__name__)

_STRUCTURAL = Removable("structural score (equation 3)", off="logical")
_LOGICAL = Removable("logical score (equation 2)", off="structural")
_NO_MAPS = "it counts the parts of a picture and does not say where one is missing"
_SPREAD = 5  # of near/N, in patches
_LEFT_OUT = 16  # shots, at most, that are compared with the others where there is nothing else to calibrate by


@methods.register("clip-lad")
@dataclass(frozen=True, kw_only=True)
class ClipLad(Method):
    """CLIP-LAD: counts the parts of a product and compares its patches, by a few normal pictures alone.

    Regions of shallow patches that words call foreground are cut into named parts; how many places each part takes is
    compared with each of the shots by `ratio`, equation 2 with `eps`: that is the logical score. The structural one is
    the largest distance of a patch to those of the shots. `scores` takes one of them, or both by their Mahalanobis
    distance from those of further normal pictures; `covariance=printed` is equation 4 to the letter, `ridge` a share
    that is added to each variance.

    `parts` is a JSON file with the parts of each category, in place of the package's own; `clusters` are the regions,
    for all categories; `classes=clusters` counts the regions themselves, without any words, for towers whose patches
    do not know them; `spread` is how far patches attend to each other in the last block, in patches. `class_names`
    says what a category is called whose parts are listed as those of any. `shots` normal pictures of each tested
    category are shown (`all`: all that there are; `auto`: as many as the bench says); `draw` says whether one may be
    drawn twice.
    """

    least_shots: ClassVar[int] = 1

    scores: Annotated[Literal["both", "logical", "structural"], _STRUCTURAL, _LOGICAL] = "both"
    classes: Annotated[Literal["text", "clusters"], Removable("parts named by words", off="clusters")] = "text"
    parts: Path | None = None
    clusters: int | None = None
    spread: int = _SPREAD
    ratio: Ratio = "relative"
    eps: float = 1.0
    covariance: Literal["inverse", "printed"] = "inverse"
    ridge: float = 1e-6
    class_names: str = "natural"
    shots: int | Literal["all"] | None = None
    draw: Draw = "distinct"

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be, DataError for a file that lists no parts."""
        check_shots(self.shots)
        CategoryNames(self.class_names)
        read_parts(self.parts)
        if self.clusters is not None and self.clusters < 2:
            raise BadOption(f"clusters={self.clusters}; wanted 2 or more")
        if self.spread < 1:
            raise BadOption(f"spread={self.spread}; wanted 1 patch or more")
        if not 0 < self.eps < math.inf:
            raise BadOption(f"eps={self.eps}; wanted a number of places above 0")
        if not 0 <= self.ridge < math.inf:
            raise BadOption(f"ridge={self.ridge}; wanted a share of the variance, 0 or more")

    @property
    def why_no_tiles(self) -> str:
        """Its logical score counts."""
        return "" if self.scores == "structural" else "counts the parts of a product"

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The same of shots and tested pictures, and of those that it calibrates by where both scores are one."""
        if phase == "train" or (phase == "calibrate" and self.scores != "both"):
            return frozenset()
        dense = (dense_of(tower, self.spread),) if self.classes == "text" else ()
        logical = (*shallow_of(tower), *dense) if self.scores != "structural" else ()
        return frozenset({*logical, *(structural_levels(tower, self.spread) if self.scores != "logical" else ())})

    def begin(self, task: Task) -> ClipLadDetector:
        """Nothing is learned."""
        return ClipLadDetector(self, task)


def shallow_of(tower: TowerSpec) -> tuple[Part, Part]:
    """The two taps that are clustered: 6 and 12 of 24 blocks. Raises NotApplicable for a tower with fewer."""
    if len(tower.taps) < 2:
        raise NotApplicable(f"it clusters two taps, but {tower.name} taps {len(tower.taps)}")
    return tower.taps[0], tower.taps[1]


def dense_of(tower: TowerSpec, spread: int) -> Part:
    """The patches that are compared with text: neighbour attention of the last block, projected."""
    return Part("near-joint" if spread == _SPREAD else f"near-joint-std{spread}", tower.depth)


def structural_levels(tower: TowerSpec, spread: int) -> tuple[Part, ...]:
    """The patches that are compared with those of the shots: the taps, and neighbour attention in place of the last."""
    last = Part("near" if spread == _SPREAD else f"near-std{spread}", tower.depth)
    return (*(tap for tap in tower.taps if tap.index < tower.depth), last)


class ClipLadDetector(Detector):
    """CLIP-LAD at work."""

    least_shots = ClipLad.least_shots
    seed: Tensor

    def __init__(self, method: ClipLad, task: Task) -> None:
        super().__init__()
        self.register_buffer("seed", torch.tensor(task.seed))  # what its clusters begin from
        self.method, self.task, self.lists = method, task, read_parts(method.parts)
        self.names = CategoryNames(task.class_names or method.class_names)
        self.facts = {
            "class_names": task.class_names or method.class_names,
            "epochs": 0,
            "released_positions": OPEN_CLIP_POSITIONS,
            "image_score": method.scores,
            "neighbours": engine_here(),
        }

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> ClipLadInspector:
        """Itself for a category: its clusters, histograms and patches, and how its normal pictures are spread."""
        kept = [Features(each.samples, {part: own.clone() for part, own in each.parts.items()}) for each in shots]
        pictures = [each.rows(row, row + 1) for each in kept for row in range(len(each))]
        method, tower = self.method, self.task.tower
        inspector = ClipLadInspector(
            method,
            self._logical(category, pictures) if method.scores != "structural" else None,
            StructuralScorer(tower, pictures, method.spread) if method.scores != "logical" else None,
        )
        if method.scores == "both":
            inspector.calibrate(pictures, normals)
            if inspector.normality is None:
                few = f"clip-lad, {category}: fewer than {LEAST_NORMAL} normal pictures say how both scores are spread"
                logger.warning("%s, so they are added as they are; show more, or name one of them by scores=", few)
        return inspector

    def _logical(self, category: str, shots: Sequence[Features]) -> LogicalScorer:
        task, (listed, parts) = self.task, parts_for(self.lists, category)
        parts = parts if self.method.clusters is None else replace(parts, clusters=self.method.clusters)
        shallow, seed, grid = shallow_of(task.tower), int(self.seed), task.tower.frame.grid
        segmenter: RegionSegmenter
        if self.method.classes == "clusters":
            centres = centres_of(shots, shallow, parts.clusters, grid=grid, seed=seed)
            segmenter = RegionSegmenter(shallow, centres, grid=grid)
        else:
            parts, dense = parts.called(self.names(category)), dense_of(task.tower, self.method.spread)
            anchors = PartAnchors.of(parts, task.encode, task.device)
            segmenter = Segmenter.fitted(parts, anchors, shots, shallow=shallow, dense=dense, grid=grid, seed=seed)
        return LogicalScorer(segmenter, torch.cat([segmenter.histograms(each) for each in shots]), self.method, listed)


@dataclass(frozen=True, eq=False)
class LogicalScorer:
    """How far the counts of a picture's parts are from those of the shots, `histograms` (k, n); `listed` is whose."""

    segmenter: RegionSegmenter
    histograms: Tensor
    method: ClipLad
    listed: str

    def __call__(self, features: Features) -> Tensor:
        """The logical scores (B,)."""
        found = [
            histogram_distance(own, self.histograms, self.method.ratio, eps=self.method.eps)
            for own in self.segmenter.histograms(features)
        ]
        return torch.stack(found)

    def masks(self, features: Features) -> list[PartMask]:
        """The parts of each picture, beside the histograms of the shots."""
        return [replace(mask, normal=self.histograms) for mask in self.segmenter.masks(features)]

    def without(self, shot: int) -> LogicalScorer:
        """The same for what is compared with all shots but one."""
        rest = torch.cat([self.histograms[:shot], self.histograms[shot + 1 :]])
        return replace(self, histograms=rest)

    @property
    def facts(self) -> dict[str, Any]:
        """What rows say of it."""
        return {
            "parts": self.listed,
            "classes": list(self.segmenter.names),
            "clusters": len(self.segmenter.centres),
            "histograms": self.histograms.long().tolist(),
        }


class StructuralScorer:
    """How far the patches of a picture are from those of the shots: the mean over levels of 1 - cos."""

    def __init__(self, tower: TowerSpec, shots: Sequence[Features], spread: int) -> None:
        self.tower, self.shots, self.spread = tower, shots, spread
        self._memory = PatchMemory(tower, shots, structural_levels(tower, spread))

    def __call__(self, features: Features) -> Tensor:
        """The distance of each patch: (B, P)."""
        return torch.stack([self._memory.distances(features, row).mean(0) for row in range(len(features))])

    def without(self, shot: int) -> StructuralScorer:
        """The same for what is compared with all shots but one."""
        return StructuralScorer(self.tower, [*self.shots[:shot], *self.shots[shot + 1 :]], self.spread)


class ClipLadInspector(Inspector):
    """CLIP-LAD for one category, by what is counted, what is compared, or both together.

    `part_masks(features)` are the parts of each picture, for who wants to look at them; None where nothing is counted.
    """

    def __init__(self, method: ClipLad, logical: LogicalScorer | None, structural: StructuralScorer | None) -> None:
        self.method, self.logical, self.structural = method, logical, structural
        self.part_masks = None if logical is None else logical.masks
        self.normality: Normality | None = None
        self.calibrated = {} if logical is None else logical.facts
        if logical is not None:
            self.why_no_graph = "it cuts each picture into regions and counts them; take scores=structural"

    def calibrate(self, shots: Sequence[Features], normals: Iterator[Features]) -> None:
        """Find how both scores of normal pictures are spread: of further ones, or of each shot among the others."""
        scores, by = self._scores_of(normals), "further normal pictures"
        if len(scores) < LEAST_NORMAL <= len(shots):
            scores, by = self._left_out(shots), "each shot among the others"
        facts: dict[str, Any] = {"by": by, "pictures": len(scores)}
        if len(scores) < LEAST_NORMAL:
            facts["by"] = f"nothing: fewer than {LEAST_NORMAL} normal pictures"
        else:
            printed = self.method.covariance == "printed"
            self.normality = Normality.of(scores, ridge=self.method.ridge, printed=printed)
            facts["mean"] = [round(each, 6) for each in self.normality.mean.tolist()]
        self.calibrated = {**self.calibrated, "calibration": facts}

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores: the logical, the structural, or how far both are from those of normal pictures. Maps: structural."""
        found, patches = _components(self.logical, self.structural, features)
        if self.structural is None or patches is None:
            return Prediction(found["logical"], None, why_no_maps=_NO_MAPS, components=found)
        maps = pixels(patches, self.structural.tower.frame)
        return Prediction(self._as_one(found), maps, components=found)

    def _as_one(self, found: Mapping[str, Tensor]) -> Tensor:
        """The scores (B,) of a batch by its components.

        Where nothing is known of normal pictures, both are brought to the range of the structural one and added.
        """
        if len(found) == 1:
            return next(iter(found.values()))
        if self.normality is None:
            return found["logical"] / (1 + found["logical"]) + found["structural"]
        return self.normality.distances(torch.stack(list(found.values()), dim=1))

    def _scores_of(self, batches: Iterable[Features]) -> Tensor:
        """Both scores of pictures: (n, 2)."""
        found = [_components(self.logical, self.structural, features)[0] for features in batches]
        return torch.cat([torch.stack(list(each.values()), dim=1) for each in found]) if found else torch.empty(0, 2)

    def _left_out(self, shots: Sequence[Features]) -> Tensor:
        """Both scores of shots, each compared with the others: (n, 2)."""
        found = []
        for shot in evenly(range(len(shots)), _LEFT_OUT):
            others = self.logical and self.logical.without(shot), self.structural and self.structural.without(shot)
            found.append(torch.stack(list(_components(*others, shots[shot])[0].values()), dim=1))
        return torch.cat(found)


def _components(
    logical: LogicalScorer | None, structural: StructuralScorer | None, features: Features
) -> tuple[dict[str, Tensor], Tensor | None]:
    """The scores (B,) by name, and the distance of each patch, (B, P), where patches are compared."""
    found: dict[str, Tensor] = {}
    if logical is not None:
        found["logical"] = logical(features)
    patches = None if structural is None else structural(features)
    if patches is not None:
        found["structural"] = patches.amax(1).double()
    return found, patches
