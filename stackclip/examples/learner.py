"""A learner in one file: text that is trained to score pictures, beside a head or alone.

The class on the shelf is a recipe: options, schedule, the parts that are read, and `build`. What it builds is an
`nn.Module` whose parameters are what is learned; the text tower stays frozen.

Try it:

    stackclip check task-residual
    stackclip bench --methods "precise,precise[learner=task-residual]"
    stackclip bench --methods "stacked[learner=task-residual[alpha=1],image-score=text+map]"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.learners import Lesson, TextTower
from stackclip.ops.maps import unit
from stackclip.registry import learners
from stackclip.types import ANOMALOUS, CLS, Features, Part, TowerSpec


@learners.register("task-residual")
@dataclass(frozen=True, kw_only=True)
class TaskResidual:
    """A learned residual is added to the frozen text features of both sides (TaskRes, Yu et al. 2023).

    `alpha` scales the residual, `temperature` divides the cosines; Adam for `epochs` at the rate `lr`. `overflow` says
    what happens where the names of all training categories do not fit the text tower: `error`, `truncate-names` or
    `chunk-mean`.
    """

    alpha: float = 0.5
    temperature: float = 0.07
    epochs: int = 2
    lr: float = 1e-3
    overflow: Literal["error", "truncate-names", "chunk-mean"] = "chunk-mean"

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The parts that it reads: the class token."""
        return frozenset({CLS})

    def fits(self, text: TextTower, subject: str) -> bool:
        """Whether prompts of its own have room for a subject; it has none, and takes the frozen features."""
        return True

    def build(self, lesson: Lesson) -> nn.Module:
        """The learner at its beginning: `lesson.anchors` (2, D) are the frozen features, `lesson.text` the tower."""
        return TaskResidualLearner(lesson.anchors, alpha=self.alpha, temperature=self.temperature)


class TaskResidualLearner(nn.Module):
    """The residual at work."""

    anchors: Tensor

    def __init__(self, anchors: Tensor, *, alpha: float, temperature: float) -> None:
        super().__init__()
        self.alpha, self.temperature = alpha, temperature
        self.residual = nn.Parameter(torch.zeros_like(anchors))  # (2, D), indices NORMAL and ANOMALOUS
        self.register_buffer("anchors", anchors.detach(), persistent=False)  # not learned, so not saved

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a reader of its rows should know, as JSON can hold it."""
        return {"alpha": self.alpha, "numbers": self.residual.numel()}

    def loss(self, features: Features) -> Mapping[str, Tensor]:
        """`loss` is what is made smaller; other terms may stand beside it by name, to be seen."""
        labels = torch.tensor(features.labels, device=self.residual.device)
        return {"loss": F.cross_entropy(self._logits(features), labels)}

    @torch.no_grad()
    def scores(self, features: Features) -> Tensor:
        """Image scores (B,): the softmax probability of ANOMALOUS."""
        return self._logits(features).softmax(1)[:, ANOMALOUS]

    def _logits(self, features: Features) -> Tensor:
        """(B, 2)."""
        text = unit(self.anchors + self.alpha * self.residual)
        return unit(features[CLS]).to(text) @ text.mT / self.temperature
