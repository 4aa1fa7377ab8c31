"""AnomalyCLIP: two learned prompts without a category's name, compared with v-v tokens (Zhou et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.errors import BadOption, NotApplicable
from stackclip.heads.released import check_there, load_released
from stackclip.learners import TextTower
from stackclip.learners.prompt import SPREAD
from stackclip.methods.endings import endings_of
from stackclip.methods.method import Detector, Method, Moment, Phase, Task, Terms
from stackclip.methods.schedule import (
    BETAS,
    BILINEAR_POSITIONS,
    check_schedule,
    check_sigma,
    descend,
    schedules_of,
)
from stackclip.ops.losses import dice_loss, focal_of_right
from stackclip.ops.maps import pixels, smooth, unit
from stackclip.ops.modules import WhileUnchanged, numbers_in
from stackclip.registry import AtTest, Removable, methods
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Prediction, TowerSpec

__all__ = ["AnomalyClip", "AnomalyClipDetector", "ObjectPrompts"]

WORDS = ("object.", "damaged object.")  # normal, anomalous; the words behind the learned ones
_BATCH = 8  # pictures a step, as released
FIRST = 6  # the block in which v-v attention begins
_CLS_BARE = Part("cls-bare")


@methods.register("anomalyclip")
@dataclass(frozen=True, kw_only=True)
class AnomalyClip(Method):
    """AnomalyCLIP: two prompts "[V] ... object." and "[W] ... damaged object." that learn from maps and labels.

    `context` vectors of each prompt are learned, and `deep` tokens in each text layer from the second to `depth`, which
    take the place of those behind the start of text. `layers` are those whose v-v tokens are compared with the prompts:
    the `last` (as the released scripts do), or the `taps` of the tower from layer 6 on, whose maps are added. Map =
    softmax(cos / `temperature`)[anomalous], upsampled, smoothed by `sigma`; image score = the same of the class token,
    projected without ln_post. Loss = cross-entropy + `lambda` * (focal + dice of both sides), `epochs` of Adam at `lr`.
    `deep_precision=float16` rounds the deep tokens as the released code does.

    `weights` is a `prompt_learner` that AnomalyCLIP released (see `stackclip.heads.released`): nothing is then trained.
    """

    context: int = 12
    deep: Annotated[int, Removable("learned tokens in text layers (textual prompt tuning)", off="0")] = 4
    depth: int = 9
    deep_precision: Literal["float32", "float16"] = "float32"
    layers: Literal["last", "taps"] = "last"
    temperature: float = 0.07
    lambda_: Annotated[float, Removable("local loss (glocal context optimisation)", off="0")] = 4.0
    sigma: Annotated[float, AtTest] = 4.0
    epochs: int = 15
    lr: float = 1e-3
    weights: Path | None = None

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be, WeightsError for weights that are not there."""
        check_schedule(self.epochs, self.lr)
        if not 0 <= self.deep <= self.context:
            raise BadOption(
                f"deep={self.deep} and context={self.context}; wanted no more deep tokens than learned ones to replace"
            )
        if not 0 < self.temperature < math.inf:
            raise BadOption(f"temperature={self.temperature}; wanted a number above 0")
        if not 0 <= self.lambda_ < math.inf:
            raise BadOption(f"lambda={self.lambda_}; wanted 0 or more")
        check_sigma(self.sigma)
        check_there(self.weights)

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The v-v tokens of the layers, and the bare class token."""
        return frozenset({*self.path(tower), _CLS_BARE} if phase in ("train", "test") else ())

    def path(self, tower: TowerSpec) -> tuple[Part, ...]:
        """The parts whose maps are added."""
        layers = (tower.depth,) if self.layers == "last" else tuple(layer for layer in tower.layers if layer >= FIRST)
        if not layers:
            raise NotApplicable(f"layers=taps, but {tower.name} taps no layer from {FIRST} on: give --layers, or last")
        return tuple(Part("vv-from6", layer) for layer in layers)

    def begin(self, task: Task) -> AnomalyClipDetector:
        """Make the prompts, or take those of `weights`."""
        return AnomalyClipDetector(self, task)


class AnomalyClipDetector(Detector):
    """Learned prompts at work on one task: the same two for every category."""

    def __init__(self, method: AnomalyClip, task: Task) -> None:
        super().__init__()
        if task.text is None:
            raise NotApplicable("anomalyclip learns through the text tower, and there is none")
        self.prompts = ObjectPrompts(
            task.text,
            context=method.context,
            deep=method.deep,
            depth=method.depth,
            half=method.deep_precision == "float16",
            seed=task.seed,
        ).to(task.device)
        self.path, self.frame = method.path(task.tower), task.tower.frame
        self.temperature, self.weight, self.sigma = method.temperature, method.lambda_, method.sigma
        stage, released = task.stage("prompts", epochs=method.epochs, batch=_BATCH), None
        if method.weights is not None:
            released = load_released(self.prompts, method.weights, owner="anomalyclip")
        elif stage.epochs:
            self.stages = (stage,)
        self.optimiser = torch.optim.Adam(self.prompts.parameters(), lr=method.lr, betas=BETAS)
        self._known = WhileUnchanged(self.prompts)
        self.facts = {
            "class_names": "object",
            "epochs": sum(each.epochs for each in self.stages),
            "learning_rate": method.lr,
            "learned": {"numbers": numbers_in(self.prompts)},
            "sigma": self.sigma,
            "paths": [str(part) for part in self.path],
            "released_positions": BILINEAR_POSITIONS,
            "schedule": schedules_of(task, self.stages, lr=method.lr),
            "weights": released,
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """One Adam step: `loss` = `ce` + lambda * (`focal` + `dice`, both summed over the layers)."""
        return descend(self.optimiser, self.loss(features))

    def loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of a training batch and its terms, with gradients."""
        anchors = unit(self.prompts())  # (2, D)
        labels, mask = torch.tensor(features.labels, device=anchors.device), features[MASK]
        cross_entropy = F.cross_entropy(self._class_logits(features, anchors), labels)
        focal, dice = anchors.new_zeros(()), anchors.new_zeros(())
        for part in self.path:
            # The softmax comes before the upsampling here, and each side is upsampled: 1 - p has no digits near p = 1.
            logits = self._patch_logits(features, part, anchors)
            anomalous, normal = (self._upsample(torch.sigmoid(side)) for side in (logits, -logits))  # (B, H, W)
            focal = focal + focal_of_right(torch.where(mask > 0, anomalous, normal))
            dice = dice + dice_loss(anomalous, mask) + dice_loss(normal, 1 - mask)
        loss = cross_entropy + self.weight * (focal + dice)
        return {"loss": loss, "ce": cross_entropy, "focal": focal, "dice": dice}

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Maps (a + 1 - n) / 2, which is a, summed over the layers; scores: the softmax probability of ANOMALOUS."""
        anchors = self._trained()
        patches = [torch.sigmoid(self._patch_logits(features, part, anchors)) for part in self.path]
        maps = smooth(self._upsample(torch.stack(patches).sum(0)), self.sigma)
        return Prediction(self._class_logits(features, anchors).softmax(1)[:, ANOMALOUS], maps)

    def _patch_logits(self, features: Features, part: Part, anchors: Tensor) -> Tensor:
        """Logits of ANOMALOUS against NORMAL of each patch: (B, P)."""
        tokens = unit(features[part]).to(anchors)
        return tokens @ (anchors[ANOMALOUS] - anchors[NORMAL]) / self.temperature

    def _class_logits(self, features: Features, anchors: Tensor) -> Tensor:
        """Logits of both sides of each picture: (B, 2)."""
        return unit(features[_CLS_BARE]).to(anchors) @ anchors.mT / self.temperature

    def _upsample(self, patches: Tensor) -> Tensor:
        """(B, P) -> (B, H, W)."""
        return pixels(patches, self.frame, align_corners=False)

    def _trained(self) -> Tensor:
        """The unit text features (2, D) as they are now; the text tower runs again only after training changed them."""
        return self._known.get(lambda: unit(self.prompts()))


class ObjectPrompts(nn.Module):
    """Two prompts, start of text, learned vectors, words, end of text, and tokens that both share in deeper layers.

    The parameters are `context.0` (normal) and `context.1` (anomalous), (E, W), and `deep.N` (T, W), which stand behind
    the start of text in text layer N + 2. Layers that the text tower does not have get none.
    """

    start: Tensor
    words: Tensor
    ends: Tensor

    def __init__(self, text: TextTower, *, context: int, deep: int, depth: int, half: bool, seed: int) -> None:
        super().__init__()
        self.text, self.half_deep = text, half
        endings = endings_of(text, WORDS, context=context)
        draws = torch.Generator().manual_seed(seed)

        def noise(count: int) -> nn.Parameter:
            return nn.Parameter(
                (SPREAD * torch.randn(count, endings.words.shape[-1], generator=draws)).to(endings.words)
            )

        self.context = nn.ParameterList(noise(context) for _ in WORDS)
        self.layers = range(2, min(depth, text.text_depth) + 1) if deep else range(0)
        self.deep = nn.ParameterList(noise(deep) for _ in self.layers)
        for name in ("start", "words", "ends"):
            self.register_buffer(name, getattr(endings, name), persistent=False)

    def embedded(self, shift: Tensor | None = None) -> Tensor:
        """The prompts as the text tower reads them, without positions: (2, L, W).

        With a `shift` (B, 2, W) those of B pictures, each of whose context vectors it moves: (B, 2, L, W).
        """
        context = torch.stack(tuple(self.context))
        if shift is not None:
            context = context + shift[:, :, None]
        start, words = (each.expand(*context.shape[:-2], -1, -1) for each in (self.start, self.words))
        return torch.cat([start, context, words], dim=-2)

    def forward(self, shift: Tensor | None = None) -> Tensor:
        """Raw text features of the two prompts: (2, D), indices NORMAL and ANOMALOUS; (B, 2, D) with a `shift`."""
        deep = {
            layer: tokens.half().to(tokens) if self.half_deep else tokens
            for layer, tokens in zip(self.layers, self.deep, strict=True)
        }
        embedded = self.embedded(shift)
        *pictures, sides, _, _ = embedded.shape
        flat, ends = embedded.flatten(0, -3), self.ends.repeat(math.prod(pictures))
        features = self.text.encode_embedded(flat, ends, deep=deep, placing="replace")
        return features.reshape(*pictures, sides, -1)
