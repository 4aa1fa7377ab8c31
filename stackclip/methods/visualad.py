"""VisualAD: two tokens that are learned inside the image tower take the place of text (CVPR 2026)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from stackclip.clip.image import ImageTower
from stackclip.errors import BadOption, NotApplicable
from stackclip.heads.spatial import SelfAlignment, SpatialCrossAttention
from stackclip.methods.method import Detector, Method, Moment, Phase, Task, Terms
from stackclip.methods.schedule import BILINEAR_POSITIONS, check_schedule, check_sigma, descend_by, schedules_of
from stackclip.methods.tokens import FrontTokens
from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.ops.maps import largest_mean, pixels, smooth, unit
from stackclip.ops.modules import numbers_in
from stackclip.registry import AtTest, methods
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Prediction, TowerSpec

__all__ = ["VisualAd", "VisualAdDetector", "VisualLayers", "top_mean"]

START = Part("hidden", 0)
_BATCH = 8  # pictures a step, as released
_DECAY = 0.01  # of AdamW
_SLOWER = 0.1  # the rate of all but the tokens, and where the cosine ends, as a share of `lr`
_APART = 0.5  # the cosine of the two tokens is pressed below minus this
_TOP = 0.01  # the share of the largest pixels whose mean is the image score


@methods.register("visualad")
@dataclass(frozen=True, kw_only=True)
class VisualAd(Method):
    """VisualAD: an anomalous and a normal token, learned in front of the image tower's own, and no text.

    Both run through the frozen tower. For each tap they take in what `anchors` learned queries see in its patches, the
    patches pass two linear layers, and ln_post is learned too. Map = sum over the taps of cos(patch, anomalous) -
    cos(patch, normal), smoothed by `sigma`; image score = the mean of its largest hundredth.
    Loss = relu(cos(anomalous, normal) + 0.5) + cross-entropy of the largest hundredth + sum over the taps of (focal +
    dice); AdamW at `lr` for the tokens, falling to a tenth as a cosine by epochs, and at a tenth for all else.
    `epochs` are 2 when training on MVTec-AD, else 1, as the released scripts. `dropout` is that of the layers.

    `test_norm=tower` tests under the tower's own ln_post, as the release that does not load the learned one.
    """

    anchors: int = 4
    dropout: float = 0.1
    test_norm: Annotated[Literal["learned", "tower"], AtTest] = "learned"
    sigma: Annotated[float, AtTest] = 4.0
    epochs: int | None = None
    lr: float = 1e-3

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        check_schedule(self.epochs, self.lr)
        check_sigma(self.sigma)
        if self.anchors < 1:
            raise BadOption(f"anchors={self.anchors}; wanted 1 or more")
        if not 0 <= self.dropout < 1:
            raise BadOption(f"dropout={self.dropout}; wanted 0 to less than 1")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The tokens that the first block reads."""
        return frozenset({START} if phase in ("train", "test") else ())

    def begin(self, task: Task) -> VisualAdDetector:
        """Make the tokens and the layers."""
        return VisualAdDetector(self, task)


class VisualLayers(nn.Module):
    """All that VisualAD learns: two tokens, a copy of ln_post, and an attention and an alignment for each tap."""

    def __init__(self, method: VisualAd, tower: TowerSpec, image: ImageTower, *, draws: torch.Generator) -> None:
        super().__init__()
        width, patches, dropout = tower.width, tower.patches, method.dropout
        self.tokens = FrontTokens(2, width=width, draws=draws)  # NORMAL and ANOMALOUS
        self.norm = image.own_norm()
        self.attention = nn.ModuleList(
            SpatialCrossAttention(width, patches, anchors=method.anchors, dropout=dropout, draws=draws)
            for _ in tower.layers
        )
        self.alignment = nn.ModuleList(SelfAlignment(width, dropout=dropout, draws=draws) for _ in tower.layers)


class VisualAdDetector(Detector):
    """Tokens and layers at work on one task: the same for every category."""

    def __init__(self, method: VisualAd, task: Task) -> None:
        super().__init__()
        if task.image is None:
            raise NotApplicable("visualad learns through the image tower, and there is none")
        self.method, self.image, self.tower, self.task = method, task.image, task.tower, task
        self.draws = torch.Generator().manual_seed(task.seed)  # dropout goes on from it
        self.learned = VisualLayers(method, task.tower, task.image, draws=self.draws).to(task.device)
        published = 2 if "mvtec" in task.train_on else 1
        epochs = published if method.epochs is None else method.epochs
        stage = task.stage("tokens", epochs=epochs, batch=_BATCH)
        self.stages = (stage,) if stage.epochs else ()
        tokens, slower = list(self.learned.tokens.parameters()), method.lr * _SLOWER
        others = [each for name, each in self.learned.named_parameters() if not name.startswith("tokens.")]
        groups = [{"params": tokens, "lr": method.lr}, {"params": others, "lr": slower}]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=_DECAY)
        self.rates = CosineAnnealingLR(self.optimiser, max(1, stage.epochs), eta_min=slower)
        self.facts = {
            "epochs": stage.epochs,
            "learning_rate": method.lr,
            "learned": {"numbers": numbers_in(self.learned)},
            "sigma": method.sigma,
            "released_positions": BILINEAR_POSITIONS,
            "schedule": schedules_of(task, self.stages, lr=method.lr),
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """One AdamW step: `loss` = `relation` + `image` + `focal` + `dice`, the last two summed over the taps."""
        clipped = self.learned.tokens.parameters()
        terms = descend_by(self.loss, features, self.optimiser, self.task, clipped=clipped)
        if at.last:
            self.rates.step()
        return terms

    def loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of a training batch and its terms, with gradients."""
        self.learned.train()
        patches, tokens = self.see(features[START], self.learned.norm)
        maps, mask = self._upsample(patches), features[MASK]  # (K, B, H, W), (B, H, W)
        labels = maps.new_tensor(features.labels)
        terms = {
            "relation": F.relu((unit(tokens[:, ANOMALOUS]) * unit(tokens[:, NORMAL])).sum(1) + _APART).mean(),
            "image": F.binary_cross_entropy_with_logits(top_mean(maps.sum(0)), labels),
            "focal": torch.stack([focal_loss(each, mask) for each in maps]).sum(),
            "dice": torch.stack([dice_loss(torch.sigmoid(each), mask) for each in maps]).sum(),
        }
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Maps: differences of two cosines, over all taps, smoothed. Scores: the means of their largest pixels."""
        self.learned.eval()
        norm = self.learned.norm if self.method.test_norm == "learned" else self.image.norm
        patches, _ = self.see(features[START], norm)
        maps = smooth(self._upsample(patches.sum(0)), self.method.sigma)
        return Prediction(top_mean(maps), maps)

    def see(self, hidden: Tensor, norm: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Of `hidden/0` (B, 1 + P, C) how much nearer each patch is to the anomalous token, in K taps: (K, B, P).

        And the two tokens (B, 2, C) as they are in the last tap.
        """
        taps, depth, learned = self.tower.layers, self.tower.depth, self.learned
        front = learned.tokens(self.image)  # (2, C)
        found = self.image.resume(hidden, 1, stops=(*taps, depth), insert=front)
        ends = tokens = norm(found[depth][:, :2])
        nearer = []
        for tap, attention, alignment in zip(taps, learned.attention, learned.alignment, strict=True):
            patches = norm(found[tap][:, 3:])  # behind the two tokens and the class token
            tokens = attention(ends, patches)
            direction = unit(tokens[:, ANOMALOUS]) - unit(tokens[:, NORMAL])  # (B, C)
            nearer.append(torch.einsum("bpc,bc->bp", unit(alignment(patches)), direction))
        return torch.stack(nearer), tokens

    def _upsample(self, patches: Tensor) -> Tensor:
        """(..., P) -> (..., H, W)."""
        return pixels(patches, self.tower.frame, align_corners=False)


def top_mean(maps: Tensor) -> Tensor:
    """The mean of the largest pixels of each map: (B, H, W) -> (B,)."""
    return largest_mean(maps, math.ceil(_TOP * maps[0].numel()))
