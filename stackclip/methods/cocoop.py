"""CoCoOp for anomalies: a learned prompt that each picture shifts, good against damaged (Zhou et al., CVPR 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.data.names import CategoryNames
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods.conditional import ConditionalPrompts
from stackclip.methods.endings import Endings
from stackclip.methods.method import Detector, Method, Moment, Phase, Task, Terms
from stackclip.methods.schedule import check_schedule, descend, schedules_of
from stackclip.ops.maps import LOGIT_SCALE, unit
from stackclip.ops.modules import numbers_in
from stackclip.registry import Removable, methods
from stackclip.types import ANOMALOUS, CLS, Features, Part, Prediction, TowerSpec

__all__ = ["CoCoOp", "CoCoOpDetector", "rate_of"]

WORDS = ("good {}.", "damaged {}.")  # normal, anomalous; behind the context, with the picture's category
BEGINNING = "a photo of a"  # what the context begins as
_BATCH = 1  # pictures a step: each has prompts of its own through the text tower (CoCoOp, section 4)
_WARM_UP = 1e-5  # the rate of the first epoch
_MOMENTUM, _DECAY = 0.9, 5e-4  # of SGD, in the released code


@methods.register("cocoop")
@dataclass(frozen=True, kw_only=True)
class CoCoOp(Method):
    """CoCoOp: "[v(x)] ... good|damaged [class].", where a small network of the class token moves the learned context.

    The prompts of each picture are encoded anew, with its own category in them, so there is one text forward a picture
    in training and at test. `context` vectors are learned, which begin (`begin_as`) as the words "a photo of a", or
    as noise. Score = softmax(`scale` * cos)[anomalous]; loss = cross-entropy; there is no map. SGD with momentum for
    `epochs`, the first at 1e-5, the others from `lr` down a cosine. `class_names` is what categories are called.

    The published training pictures are cropped and flipped at random; these are as they are.
    """

    context: int = 4
    begin_as: Annotated[Literal["words", "noise"], Removable("context that begins as words", off="noise")] = "words"
    scale: float = LOGIT_SCALE
    class_names: str = "raw"
    epochs: int = 10
    lr: float = 2e-3

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be, and what wrong class names raise."""
        check_schedule(self.epochs, self.lr)
        CategoryNames(self.class_names)
        if self.context < 1:
            raise BadOption(f"context={self.context}; wanted 1 or more")
        if not 0 < self.scale < math.inf:
            raise BadOption(f"scale={self.scale}; wanted a number above 0")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The class token."""
        return frozenset({CLS} if phase in ("train", "test") else ())

    def begin(self, task: Task) -> CoCoOpDetector:
        """Make the context and the network."""
        return CoCoOpDetector(self, task)


class CoCoOpDetector(Detector):
    """A context and its network at work on one task; the words behind the context are each picture's."""

    def __init__(self, method: CoCoOp, task: Task) -> None:
        super().__init__()
        if task.text is None:
            raise NotApplicable("cocoop learns through the text tower, and there is none")
        words = BEGINNING if method.begin_as == "words" else None
        self.prompts = ConditionalPrompts(
            task.text, task.tower.joint, context=method.context, words=words, seed=task.seed
        ).to(task.device)
        class_names = task.class_names or method.class_names
        self.scale, self.lr, self._name = method.scale, method.lr, CategoryNames(class_names)
        stage = task.stage("prompts", epochs=method.epochs, batch=_BATCH)
        self.stages = (stage,) if stage.epochs else ()
        self.optimiser = torch.optim.SGD(
            self.prompts.parameters(), lr=method.lr, momentum=_MOMENTUM, weight_decay=_DECAY
        )
        self._known: dict[str, Endings] = {}
        self.facts = {
            "class_names": class_names,
            "epochs": sum(each.epochs for each in self.stages),
            "learning_rate": method.lr,
            "learned": {"numbers": numbers_in(self.prompts)},
            "schedule": schedules_of(task, self.stages, lr=method.lr),
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """One step of SGD at the rate of the epoch: `loss` is the cross-entropy."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_of(at.epoch, at.stage.epochs, lr=self.lr)
        return descend(self.optimiser, {"loss": self.loss(features)})

    def loss(self, features: Features) -> Tensor:
        """The cross-entropy of a batch, with gradients."""
        logits = self.logits(features)
        return F.cross_entropy(logits, torch.tensor(features.labels, device=logits.device))

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Scores: the softmax probability of ANOMALOUS."""
        scores = self.logits(features).softmax(1)[:, ANOMALOUS]
        return Prediction(scores, None, why_no_maps="cocoop learns from class tokens alone")

    def logits(self, features: Features) -> Tensor:
        """Logits of both sides of each picture: (B, 2)."""
        cls, categories = unit(features[CLS]), features.categories  # (B, D)
        found: dict[int, Tensor] = {}
        for category in dict.fromkeys(categories):
            rows = [row for row, own in enumerate(categories) if own == category]
            text = unit(self.prompts(cls[rows], self._endings(category)))  # (b, 2, D)
            logits = self.scale * torch.einsum("bd,bsd->bs", cls[rows], text)
            found |= dict(zip(rows, logits, strict=True))
        return torch.stack([found[row] for row in range(len(categories))])

    def _endings(self, category: str) -> Endings:
        if category not in self._known:
            name = self._name(category)
            self._known[category] = self.prompts.endings([words.format(name) for words in WORDS])
        return self._known[category]


def rate_of(epoch: int, epochs: int, *, lr: float) -> float:
    """The rate of an epoch, from 0: a first one at 1e-5, then the cosine that began with it, at its own places.

    So the second is at `lr`, and the last does not come down to 0.
    """
    return _WARM_UP if epoch == 0 else lr * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
