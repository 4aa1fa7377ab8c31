"""WinCLIP: the class tokens of windows of patches, compared with text, and with the windows of normal pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from stackclip.data.names import CategoryNames
from stackclip.errors import BadOption
from stackclip.methods.anchors import TextAnchors
from stackclip.methods.method import Detector, Draw, Inspector, Method, Phase, Task
from stackclip.methods.schedule import OPEN_CLIP_POSITIONS, check_shots
from stackclip.ops.maps import unit, upsample
from stackclip.ops.neighbours import Bank, engine_here
from stackclip.ops.windows import harmonic_map
from stackclip.prompts.phrases import ENSEMBLES, EnsembleName
from stackclip.registry import From, Removable, methods, selectors
from stackclip.types import ANOMALOUS, CLS, Features, Part, Prediction, TowerSpec

__all__ = ["WinClip"]

_WINDOWS = (Part("window", 2), Part("window", 3))
_CROPS = Part("crop", 10)


@methods.register("winclip")
@dataclass(frozen=True, kw_only=True)
class WinClip(Method):
    """WinCLIP (Jeong et al. 2023): windows of 2 x 2 and 3 x 3 patches, harmonic means over scales; without training.

    With shots it is WinCLIP+: distances to the windows and last patches of the normal pictures are combined with the
    text's map by `fusion`, their mean as in the paper or their sum as in Accurate-WinCLIP. `crops` takes the mean of
    the text score and that of ten crops, as the paper says without details. `temperature` divides cosines. `select`,
    `ensemble` and `class_names` make the text anchors. `shots` normal pictures of each tested category are shown
    (`all`: all that there are; `auto`: as many as the bench says); `draw` says whether one may be drawn twice.
    """

    temperature: float = 0.07
    fusion: Literal["mean", "sum"] = "mean"
    crops: Annotated[bool, Removable("ten crops", off="false")] = False
    ensemble: EnsembleName = "winclip"
    select: Annotated[str, From(selectors)] = "mean"
    class_names: str = "raw"
    shots: Annotated[
        int | Literal["all"] | None, Removable("distances to normal windows (WinCLIP+)", off="0", if_typed=True)
    ] = None
    draw: Draw = "distinct"

    def __post_init__(self) -> None:
        """Raise BadOption for a number out of range, and what a wrong selector or wrong class names raise."""
        CategoryNames(self.class_names)
        selectors.create(self.select)
        check_shots(self.shots)
        if not 0 < self.temperature < math.inf:
            raise BadOption(f"temperature={self.temperature}; wanted a number above 0")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The windows, the class token and the last patches; of shots no class token."""
        if phase == "shots":
            return frozenset({*_WINDOWS, _last(tower)})
        return frozenset({*_WINDOWS, CLS, _last(tower), *([_CROPS] if self.crops else [])} if phase == "test" else ())

    def begin(self, task: Task) -> WinClipDetector:
        """Nothing is learned."""
        return WinClipDetector(self, task)


class WinClipDetector(Detector):
    """WinCLIP at work: text alone."""

    def __init__(self, method: WinClip, task: Task) -> None:
        super().__init__()
        wording = ENSEMBLES[method.ensemble], selectors.create(method.select)
        self.anchors = TextAnchors(task, lambda dataset: wording, class_names=method.class_names)
        self.method, self.tower, self.last = method, task.tower, _last(task.tower)
        self.frame, self.few_shot = task.tower.frame, bool(task.shots)
        self.facts = {
            "class_names": task.class_names or method.class_names,
            "epochs": 0,
            "released_positions": OPEN_CLIP_POSITIONS,
            "selector": method.select,
            "image_score": "mean of the text score and the highest distance to the shots" if task.shots else "text",
            **({"neighbours": engine_here()} if task.shots else {}),
        }

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """Itself, or with shots WinCLIP+."""
        return WinClipPlus(self, shots) if self.few_shot else self

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Maps and scores: the text's."""
        scores, patches = self.from_text(features)
        return Prediction(scores, self.upsampled(patches))

    def from_text(self, features: Features) -> tuple[Tensor, Tensor]:
        """The text's scores (B,) and the anomaly of each patch (B, rows, columns)."""
        anchors = self.anchors(features.samples)  # (B, 2, D)
        scores = self._chance(features[CLS][:, None], anchors)[:, 0]  # (B,)
        scales = [
            harmonic_map(self._chance(features[part], anchors), grid=self.frame.grid, side=part.index)
            for part in _WINDOWS
        ]
        inverse = 1 / scores[:, None, None] + sum(1 / scale for scale in scales)
        patches = (1 + len(scales)) / inverse  # (B, rows, columns)
        if self.method.crops:
            scores = (scores + self._chance(features[_CROPS], anchors).mean(1)) / 2
        return scores, patches

    def upsampled(self, patches: Tensor) -> Tensor:
        """(B, rows, columns) -> (B, H, W)."""
        return upsample(patches, self.frame.size, align_corners=False)

    def _chance(self, tokens: Tensor, anchors: Tensor) -> Tensor:
        """The softmax probability that tokens (B, n, D) are anomalous: (B, n)."""
        logits = torch.einsum("bnd,bsd->bns", unit(tokens), anchors) / self.method.temperature
        return torch.softmax(logits, dim=-1)[..., ANOMALOUS]


class WinClipPlus(Inspector):
    """WinCLIP+ for one category: the text's maps and scores with the distances to its shots."""

    def __init__(self, detector: WinClipDetector, shots: Iterator[Features]) -> None:
        self.detector, parts = detector, (*_WINDOWS, detector.last)
        tokens = [[features[part].flatten(0, 1).clone() for part in parts] for features in shots]
        self._banks = {part: Bank(torch.cat([each[at] for each in tokens])) for at, part in enumerate(parts)}

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Maps and scores: the text's, and with them the distances', and the highest of them."""
        scores, patches = self.detector.from_text(features)
        distances = torch.stack([self._distances(features, row) for row in range(len(features))])  # (B, rows, columns)
        scores = (scores + distances.amax((1, 2))) / 2
        patches = (patches + distances) / (2 if self.detector.method.fusion == "mean" else 1)
        return Prediction(scores, self.detector.upsampled(patches))

    def _distances(self, features: Features, row: int) -> Tensor:
        """How far a picture's patches are from the shots', between 0 and 1: the mean of both scales and patches."""
        found, grid = [], self.detector.frame.grid
        for part, bank in self._banks.items():
            far = bank.distances(features[part][row]) / 2
            if part == self.detector.last:
                found.append(far.reshape(*grid))
            else:
                found.append(harmonic_map(far[None], grid=grid, side=part.index)[0])
        return torch.stack(found).mean(0)


def _last(tower: TowerSpec) -> Part:
    return Part("patch", tower.depth)
