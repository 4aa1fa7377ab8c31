"""Regulating prompt learning (RPL): a pair of prompts that learns to classify and is held to the stacked prompts.

FuzzyCLIP, section 2.4. Cross-entropy on the class token teaches the pair; the mean squared distance to the frozen text
features of the stacked prompts regulates it (equation 12). docs/decisions/0011 has what the paper leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.errors import BadOption
from stackclip.learners.learner import Lesson, Overflow, Placing, TextTower
from stackclip.learners.prompt import PromptPair, prompt_length
from stackclip.ops.maps import unit
from stackclip.ops.modules import WhileUnchanged, numbers_in
from stackclip.registry import Removable, learners
from stackclip.types import ANOMALOUS, CLS, Features, Part, TowerSpec

__all__ = ["TEMPLATES", "Regulated", "Rpl", "Template"]

Template = Literal["photo-of", "this-is", "it-is", "there-is", "picture-of"]

TEMPLATES: Mapping[Template, tuple[str, str]] = {  # FuzzyCLIP, table 9, in its order; normal, anomalous
    "photo-of": ("a photo of a good {}", "a photo of a damaged {}"),
    "this-is": ("This is a good photo of {}", "This is a damaged photo of {}"),
    "it-is": ("It is a photo of a {} without damage", "It is a photo of a {} with damage"),
    "there-is": ("There is not a damaged {} in the photo", "There is a damaged {} in the photo"),
    "picture-of": (
        "It is a good, perfect and pristine picture of {}",
        "It is a damaged, flawed, and broken picture of {}",
    ),
}


@learners.register("rpl")
@dataclass(frozen=True, kw_only=True)
class Rpl:
    """Regulating prompt learning: one learned pair of prompts for all categories (FuzzyCLIP, section 2.4).

    The pair begins as a `template` of table 9, whose `subject` is the cluster (the stacked names of all training
    categories) or the word "object". `context` vectors of each prompt are learned, its words among them; `none` learns
    the words alone. In text layers up to `depth`, `deep` learned tokens stand behind the start of text: `counting` says
    whether the input is the first of these layers (input) or not (layers), `placing` whether the tokens are put in
    (insert) or take the place of others (replace). Loss = cross-entropy of softmax(cos / `temperature`) + `lambda` *
    mean squared distance to the features of the stacked prompts (equation 12), for `epochs` at learning rate `lr`.
    `overflow` says what happens when the names of all categories do not fit: `error`, `truncate-names`, or
    `chunk-mean`: the distance is to the mean over chunks, and the pair names the first.
    """

    without: ClassVar[Removable] = Removable("regulating prompt learning (RPL)", off="none")

    context: int | None = 12
    deep: Annotated[int, Removable("learned tokens in text layers", off="0")] = 20
    depth: int = 9
    counting: Literal["input", "layers"] = "input"
    placing: Placing = "insert"
    template: Template = "there-is"
    subject: Literal["cluster", "object"] = "cluster"
    lambda_: Annotated[float, Removable("regulation by the stacked prompts (equation 12)", off="0")] = 1.0
    temperature: float = 0.07
    epochs: int = 1
    lr: float = 1e-3
    overflow: Overflow = "error"

    def __post_init__(self) -> None:
        """Raise BadOption for a number that no prompt or schedule has."""
        for name, least in (("context", 0), ("deep", 0), ("depth", 1), ("epochs", 0), ("lambda_", 0)):
            number = getattr(self, name)
            if number is not None and not least <= number < math.inf:
                raise BadOption(f"rpl: {name.removesuffix('_')}={number}; wanted {least} or more")
        for name in ("temperature", "lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise BadOption(f"rpl: {name}={getattr(self, name)}; wanted a number above 0")
        if not (self.context or self.context is None or self.deep):
            raise BadOption("rpl: with context=0 and deep=0 there is nothing to learn")

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The class token."""
        return frozenset({CLS})

    def fits(self, text: TextTower, subject: str) -> bool:
        """Whether both prompts of a subject fit the text tower's context."""
        return all(
            prompt_length(text, template, subject=self._called(subject), context=self.context) <= text.context_length
            for template in TEMPLATES[self.template]
        )

    def build(self, lesson: Lesson) -> nn.Module:
        """The pair at its beginning."""
        first = 2 if self.counting == "input" else 1
        subject = self._called(lesson.subject)
        prompts = PromptPair(
            lesson.text,
            TEMPLATES[self.template],
            subject=subject,
            context=self.context,
            deep=self.deep,
            layers=range(first, min(self.depth, lesson.text.text_depth) + 1),
            placing=self.placing,
            seed=lesson.seed,
        )
        begun = tuple(template.format(subject) for template in TEMPLATES[self.template])
        return Regulated(prompts, lesson.anchors, weight=self.lambda_, temperature=self.temperature, begun=begun)

    def _called(self, subject: str) -> str:
        return subject if self.subject == "cluster" else "object"


class Regulated(nn.Module):
    """Learned prompts held to frozen anchors. FuzzyCLIP, equation 12."""

    target: Tensor

    def __init__(
        self, prompts: PromptPair, target: Tensor, *, weight: float, temperature: float, begun: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.begun = begun
        self.prompts = prompts
        self.weight = weight
        self.temperature = temperature
        self.register_buffer("target", target.to(prompts.base), persistent=False)  # (2, D)
        self._known = WhileUnchanged(self)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it began as, and what is learned: vectors in each prompt, tokens in each text layer, numbers in all."""
        pair = self.prompts
        return {
            "prompts": list(self.begun),
            "context": [len(vectors) for vectors in pair.context],
            "deep": {str(layer): len(tokens) for layer, tokens in zip(pair.layers, pair.deep, strict=True)},
            "numbers": numbers_in(self),
        }

    def anchors(self) -> Tensor:
        """The learned text features, unit length: (2, D)."""
        return unit(self.prompts())

    def loss(self, features: Features) -> Mapping[str, Tensor]:
        """`rpl_ce` and `rpl_mse` as equation 12 has them; `loss` is the one plus lambda times the other."""
        anchors = self.anchors()
        classes = torch.tensor(features.labels, device=anchors.device)
        cross_entropy = F.cross_entropy(self._logits(features, anchors), classes)
        distance = F.mse_loss(anchors, self.target)
        return {"loss": cross_entropy + self.weight * distance, "rpl_ce": cross_entropy, "rpl_mse": distance}

    @torch.no_grad()
    def scores(self, features: Features) -> Tensor:
        """The softmax probability of ANOMALOUS: (B,)."""
        return self._logits(features, self._trained()).softmax(1)[:, ANOMALOUS]

    def _logits(self, features: Features, anchors: Tensor) -> Tensor:
        return unit(features[CLS]).to(anchors) @ anchors.mT / self.temperature  # (B, 2)

    def _trained(self) -> Tensor:
        """The anchors as they are now; the text tower runs again only after the parameters changed."""
        return self._known.get(self.anchors)
