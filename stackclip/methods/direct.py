"""Maps from patches that nothing aligned with text: a diagnostic, for they come out inverted (CLIP-AD, table 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stackclip.methods.anchors import TextAnchors
from stackclip.methods.clip_ad import Surgical
from stackclip.methods.method import Detector, Phase, Task
from stackclip.methods.schedule import OPEN_CLIP_POSITIONS
from stackclip.ops.maps import LOGIT_SCALE, min_max, pixels, smooth, unit
from stackclip.registry import methods
from stackclip.types import ANOMALOUS, CLS, Features, Part, Prediction, TowerSpec

__all__ = ["ClipDirect", "DirectDetector"]


@methods.register("clip-direct")
@dataclass(frozen=True, kw_only=True)
class ClipDirect(Surgical):
    """A diagnostic, not a detector: the patches of the last block compared with text as they are (CLIP-AD, table 7).

    Patches go through ln_post and the projection like the class token, and the map is their softmax probability. Under
    CLIP it is inverted: defects come out lowest. `select`, `ensemble`, `class_names`, `image_score` and `sigma` are
    SDP's.
    """

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The projected patches of the last block, and the class token."""
        return frozenset({Part("joint", tower.depth), CLS} if phase == "test" else ())

    def begin(self, task: Task) -> DirectDetector:
        """Nothing is learned."""
        return DirectDetector(self, task)


class DirectDetector(Detector):
    """Plain comparison with text, token by token."""

    def __init__(self, method: ClipDirect, task: Task) -> None:
        super().__init__()
        self.anchors = TextAnchors(task, method.wording, class_names=method.class_names)
        self.part, self.frame = Part("joint", task.tower.depth), task.tower.frame
        self.image_score, self.sigma = method.image_score, method.sigma_for(task)
        self.facts = {
            "class_names": task.class_names or method.class_names,
            "epochs": 0,
            "selector": method.select,
            "sigma": self.sigma,
            "image_score": f"{self.image_score} (transductive)" if self.image_score == "text+map" else self.image_score,
            "released_positions": OPEN_CLIP_POSITIONS,
        }

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Maps and scores: softmax of 100 cos with the anchors, of each patch and of the class token."""
        anchors = self.anchors(features.samples)  # (B, 2, D)
        maps = smooth(pixels(_chance(features[self.part], anchors), self.frame, align_corners=False), self.sigma)
        scores = _chance(features[CLS][:, None], anchors)[:, 0]
        return Prediction(scores + maps.amax((1, 2)) if self.image_score == "inductive" else scores, maps)

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """The sum of the min-maxed text probability and the min-maxed map maximum, where that is asked for."""
        if self.image_score != "text+map" or peaks is None:
            return scores
        return min_max(scores) + min_max(peaks)


def _chance(tokens: Tensor, anchors: Tensor) -> Tensor:
    """The softmax probability that tokens (B, n, D) are anomalous: (B, n)."""
    logits = LOGIT_SCALE * torch.einsum("bnd,bsd->bns", unit(tokens), anchors)
    return logits.softmax(-1)[..., ANOMALOUS]
