"""CLIP-AD: a staged dual path of v-v attention under feature surgery (SDP), with linear heads added (SDP+).

CLIP Surgery, as CLIP-AD runs it for comparison, is one stage of the same: the last six blocks, one output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from stackclip.data.names import CategoryNames
from stackclip.errors import BadOption, NotApplicable
from stackclip.heads import DeepProjections, Projections
from stackclip.heads.released import check_there, load_released
from stackclip.methods.anchors import Select, TextAnchors
from stackclip.methods.method import Detector, Method, Moment, Phase, Task, Terms
from stackclip.methods.schedule import (
    BILINEAR_POSITIONS,
    OPEN_CLIP_POSITIONS,
    adam,
    check_schedule,
    check_sigma,
    descend,
    lower_products,
    schedule_of,
)
from stackclip.ops.maps import LOGIT_SCALE, min_max, pixels, smooth, unit
from stackclip.ops.surgery import surgery
from stackclip.ops.words import counted
from stackclip.prompts import Ensemble
from stackclip.prompts.phrases import CLIP_AD_MEDICAL, ENSEMBLES, EnsembleName
from stackclip.registry import AtTest, From, Removable, methods, selectors
from stackclip.types import ANOMALOUS, CLASS_TOKEN, CLS, GRID_POOL, Features, Part, Prediction, TowerSpec

__all__ = ["ClipSurgery", "Sdp", "SdpPlus", "Surgical"]

ImageScore = Literal["text+map", "inductive", "text"]

_STAGES = (1, 2, 3, 4)
_BATCH = 8  # pictures a step, as released
_SIGMA = 8.0  # pixels, of the Gaussian over maps
_SIGMA_PLUS_ON_OTHERS = 2.0  # of SDP+ trained on MVTec-AD, so tested on VisA
_RVS = Removable("representative vector selection (RVS)", off="mean-of-unit")
_SELECTORS = {"visa": "dbscan[eps=1.5,min_samples=25]"}  # else dbscan's own defaults, those for MVTec-AD


@dataclass(frozen=True, kw_only=True)
class Surgical(Method):
    """What the three methods have in common: text anchors, picture scores, smoothing."""

    select: Annotated[str, From(selectors, {"auto": ("dbscan", *_SELECTORS.values())}), _RVS] = "auto"
    ensemble: Literal["auto"] | EnsembleName = "auto"
    class_names: str = "raw"
    image_score: Annotated[ImageScore, AtTest, Removable("the map in the image score", off="text")] = "text+map"
    sigma: Annotated[float | None, AtTest] = None

    def __post_init__(self) -> None:
        """Raise what a wrong selector or wrong class names raise, and BadOption for a sigma below 0."""
        CategoryNames(self.class_names)
        if self.select != "auto":
            selectors.create(self.select)
        check_sigma(self.sigma)

    def wording(self, dataset: str) -> tuple[Ensemble, Select]:
        """What makes the anchors for a data set (CLIP-AD, section 3.1; words and parameters of its supplement)."""
        select = _SELECTORS.get(dataset, "dbscan") if self.select == "auto" else self.select
        if self.ensemble == "auto":
            return CLIP_AD_MEDICAL.get(dataset, ENSEMBLES["clip-ad"]), selectors.create(select)
        return ENSEMBLES[self.ensemble], selectors.create(select)

    def sigma_for(self, task: Task) -> float:
        """The Gaussian over maps, the paper's unless it is given."""
        return _SIGMA if self.sigma is None else self.sigma


def _has_pool(tower: TowerSpec) -> bool:
    """Whether the image feature comes from an attention pool over the grid, as in a ResNet."""
    return CLASS_TOKEN in tower.lacks and GRID_POOL not in tower.lacks


@methods.register("sdp")
@dataclass(frozen=True, kw_only=True)
class Sdp(Surgical):
    """CLIP-AD without training: v-v tokens of four stages under feature surgery, summed (equations 4 to 10).

    `stages` are those of the four that are summed (table 5). `taps=released` takes the class tokens that the released
    code changes by mistake, for comparison with its numbers.

    `select`, `ensemble` and `class_names` make the text anchors; `auto` is the paper's DBSCAN with its parameters, and
    its words, for the tested data set. `image_score` is the text probability, of the class token behind the last of the
    stages, plus the map's maximum, both min-maxed over the tested category (`text+map`: transductive, as released; of
    a single picture it is the text's), the same without min-max (`inductive`), or `text` alone. `sigma` is that of the
    Gaussian over maps in pixels, 8 unless given.
    """

    without: ClassVar[Removable] = Removable("staged dual path and feature surgery (SDP)", off="clip-direct")

    taps: Literal["clean", "released"] = "clean"
    stages: Annotated[tuple[int, ...], Removable("the three stages before the last (table 5)", off="4")] = _STAGES

    def __post_init__(self) -> None:
        """Raise BadOption for stages that there are not, and what `select`, `class_names` and `sigma` raise."""
        super().__post_init__()
        if not self.stages or self.stages != tuple(stage for stage in _STAGES if stage in self.stages):
            given = "+".join(map(str, self.stages)) or "nothing"
            raise BadOption(f"stages={given}; wanted some of 1+2+3+4, in this order")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The v-v tokens and class tokens of the stages."""
        return frozenset({*self.path(tower), *self.class_tokens(tower)} if phase == "test" else ())

    def path(self, tower: TowerSpec) -> tuple[Part, ...]:
        """The v-v tokens at the end of each stage; of a ResNet those of its attention pool (supplement C).

        Raises NotApplicable for stages, or released taps, of a tower that has neither.
        """
        if _has_pool(tower):
            if self.taps != "clean" or self.stages != _STAGES:
                raise NotApplicable(f"{tower.name} has one attention, its pool: leave taps and stages out")
            return (Part("vv-pool", tower.depth),)
        return tuple(Part("vv-stage", layer) for layer in self._ends(tower))

    def class_tokens(self, tower: TowerSpec) -> tuple[Part, ...]:
        """The class token behind each stage; that of the last block is the tower's own."""
        kind = "cls" if self.taps == "clean" else "cls-released"
        if _has_pool(tower):
            return (CLS,)
        return tuple(CLS if layer == tower.depth else Part(kind, layer) for layer in self._ends(tower))

    def begin(self, task: Task) -> SurgeryDetector:
        """Nothing is learned."""
        return SurgeryDetector(self, task, path=self.path(task.tower), cls=self.class_tokens(task.tower), factor=1.0)

    def _ends(self, tower: TowerSpec) -> tuple[int, ...]:
        """The last layer of each stage. Raises NotApplicable for a tower with fewer blocks than stages."""
        if tower.depth < len(_STAGES):
            raise NotApplicable(
                f"it reads the ends of four stages, but {tower.name} has {counted(tower.depth, 'block')}"
            )
        return tuple(tower.depth // len(_STAGES) * stage for stage in self.stages)


@methods.register("sdp-plus")
@dataclass(frozen=True, kw_only=True)
class SdpPlus(Sdp):
    """SDP with one trained linear layer a stage, whose maps are added to SDP's (CLIP-AD, section 3.3).

    Adam for `epochs` at the rate `lr`. `layers` linear layers make a stage's mapping, with ReLU between them if `relu`
    says so (table 6). `sigma=auto` is 2 when trained on MVTec-AD, so tested on others, else 8, as released;
    `taps=released` is for heads that were trained with the released code. `weights` is a file of `linear_layers` that
    CLIP-AD released: nothing is then trained. `stages`, `select`, `ensemble`, `class_names` and `image_score` are
    those of SDP.
    """

    without: ClassVar[Removable] = Removable("trained linear layers (SDP+)", off="sdp")

    layers: Literal[1, 3, 5] = 1
    relu: bool = False
    epochs: int = 5
    lr: float = 1e-4
    weights: Path | None = None

    def __post_init__(self) -> None:
        """Raise BadOption for options that do not go together, WeightsError for weights that are not there."""
        super().__post_init__()
        if self.relu and self.layers == 1:
            raise BadOption("relu=true with layers=1: there is nothing between the layers; add layers=3")
        check_schedule(self.epochs, self.lr)
        check_there(self.weights)

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """SDP's parts and the taps of the plain path at the ends of the stages, which alone are trained on."""
        return super().needs(tower, phase) | frozenset(self.patches(tower) if phase in ("train", "test") else ())

    def check(self, tower: TowerSpec) -> None:
        """Raise WeightsError for `weights` that do not fit the tower."""
        if self.weights is not None:
            load_released(self.head(tower, seed=0), self.weights, owner="sdp-plus")

    def patches(self, tower: TowerSpec) -> tuple[Part, ...]:
        """The patch tokens of the plain path behind each stage. Raises NotApplicable for a ResNet."""
        if _has_pool(tower):
            raise NotApplicable(f"its linear layers read the ends of four stages, which differ in size in {tower.name}")
        kind = "patch" if self.taps == "clean" else "patch-released"
        return tuple(Part("patch" if layer == tower.depth else kind, layer) for layer in self._ends(tower))

    def head(self, tower: TowerSpec, *, seed: int) -> Projections:
        """New linear layers, initialised from the seed."""
        taps = self.patches(tower)
        if self.layers == 1:
            return Projections(tower, 1, seed=seed, taps=taps)
        return DeepProjections(tower, layers=self.layers, relu=self.relu, seed=seed, taps=taps)

    def sigma_for(self, task: Task) -> float:
        """The Gaussian over maps, the released code's for the data sets unless it is given."""
        if self.sigma is None and "mvtec" in task.train_on:
            return _SIGMA_PLUS_ON_OTHERS
        return super().sigma_for(task)

    def begin(self, task: Task) -> SurgeryDetector:
        """Make the linear layers."""
        tower = task.tower
        head = self.head(tower, seed=task.seed).to(task.device)
        return SurgeryDetector(self, task, path=self.path(tower), cls=self.class_tokens(tower), factor=1.0, head=head)


@methods.register("clip-surgery")
@dataclass(frozen=True, kw_only=True)
class ClipSurgery(Surgical):
    """CLIP Surgery for anomalies: v-v attention in the last six blocks, feature surgery on the last output alone.

    `select`, `ensemble`, `class_names`, `image_score` and `sigma` are SDP's, as CLIP-AD compares the two.
    """

    without: ClassVar[Removable] = Removable("v-v attention and feature surgery", off="clip-direct")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The v-v tokens of the last six blocks, and the class token."""
        return frozenset({Part("vv-last6", tower.depth), CLS} if phase == "test" else ())

    def begin(self, task: Task) -> SurgeryDetector:
        """Nothing is learned."""
        return SurgeryDetector(self, task, path=(Part("vv-last6", task.tower.depth),), cls=(CLS,), factor=2.0)


class SurgeryDetector(Detector):
    """Feature surgery at one or several places of the tower, and perhaps a head whose maps are added."""

    def __init__(
        self,
        method: Surgical,
        task: Task,
        *,
        path: tuple[Part, ...],
        cls: tuple[Part, ...],
        factor: float,
        head: Projections | None = None,
    ) -> None:
        super().__init__()
        self.anchors = TextAnchors(task, method.wording, class_names=method.class_names)
        self.path, self.cls, self.factor, self.head = path, cls, factor, head
        self.frame, self.image_score, self.sigma = task.tower.frame, method.image_score, method.sigma_for(task)
        released: Mapping[str, Any] | None = None
        schedule: dict[str, Any] = {}
        if isinstance(method, SdpPlus) and head is not None:
            stage = task.stage("head", epochs=method.epochs, batch=_BATCH)
            lower_products(head, task)
            self.optimiser = adam(head.parameters(), lr=method.lr, betas=(0.9, 0.999))
            if method.weights is not None:
                released = load_released(head, method.weights, owner="sdp-plus")
            elif stage.epochs:
                self.stages, schedule = (stage,), {"head": schedule_of(task, stage, lr=method.lr)}
        self.facts = {
            "class_names": task.class_names or method.class_names,
            "epochs": sum(stage.epochs for stage in self.stages),
            "schedule": schedule,
            "released_positions": BILINEAR_POSITIONS if isinstance(method, ClipSurgery) else OPEN_CLIP_POSITIONS,
            "weights": released,
            "selector": method.select,
            "sigma": self.sigma,
            "image_score": f"{self.image_score} (transductive)" if self.image_score == "text+map" else self.image_score,
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """One Adam step of the linear layers, on APRIL-GAN's losses."""
        if self.head is None:
            return super().step(features, at)
        loss = self.head.loss(features, self.anchors(features.samples), torch.zeros(len(features), dtype=torch.long))
        return descend(self.optimiser, {"loss": loss})

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Maps: the sum over the stages, upsampled, with the head's added, smoothed. Scores: the text probability."""
        anchors = self.anchors(features.samples)  # (B, 2, D)
        patches = torch.stack(
            [
                surgery(features[part], features[cls], anchors, factor=self.factor)
                for part, cls in zip(self.path, self.cls, strict=True)
            ]
        ).sum(0)  # (B, P)
        maps = pixels(patches, self.frame, align_corners=False)
        if self.head is not None:
            maps = maps + self.head.maps(features, anchors[:, None], anchors.new_ones(len(features), 1))
        maps = smooth(maps, self.sigma)
        cls = unit(features[self.cls[-1]])
        scores = torch.softmax(LOGIT_SCALE * torch.einsum("bd,bsd->bs", cls, anchors), dim=1)[:, ANOMALOUS]
        if self.image_score == "inductive":
            scores = scores + maps.amax((1, 2)) / len(self.path)
        return Prediction(scores, maps)

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """The sum of the min-maxed text probability and the min-maxed map maximum, where that is asked for."""
        if self.image_score != "text+map" or peaks is None:
            return scores
        return min_max(scores) + min_max(peaks)
