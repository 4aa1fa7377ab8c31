"""MRAD: training pictures and their regions are remembered with labels, and tested ones ask them (ICLR 2026)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from stackclip.errors import BadOption, NotApplicable
from stackclip.heads.retrieval import Retrieval
from stackclip.methods.method import Detector, Method, Moment, Phase, Stage, Task, Terms
from stackclip.methods.regions import RegionPrompts, region_means
from stackclip.methods.schedule import BETAS, BILINEAR_POSITIONS, check_schedule, check_sigma, descend_by, schedules_of
from stackclip.ops.losses import dice_loss, focal_of_right
from stackclip.ops.maps import largest_mean, pixels, smooth, unit
from stackclip.ops.modules import numbers_in
from stackclip.ops.windows import window_means
from stackclip.registry import AtTest, Removable, methods
from stackclip.sizes import Size
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Prediction, TowerSpec

__all__ = ["Mrad", "MradDetector", "region_keys"]

logger = logging.getLogger(__name__)

_CLS_BARE = Part("cls-bare")
_BATCH = 8  # pictures a step, as released
_LEAST_RATE = 1e-6  # where the cosine of the rate ends
_TEMPERATURE = 0.07  # of the image's cross-entropy, and of the text's cosines
_TOP = 0.01  # the share of the largest pixels whose mean is in the image score
_NOTHING = "it remembers no normal, or no anomalous, training picture or region"


@methods.register("mrad")
@dataclass(frozen=True, kw_only=True)
class Mrad(Method):
    """MRAD: what of the training data a picture and its patches are like says how anomalous they are.

    Of each training picture the class token is remembered, and the mean patch of what is defective and of what is not,
    patches that the mask covers in part left out; `most` pictures at most, the first of the seed's order. The vote of
    all of them is a softmax of cosines. `mode=tf` takes it as it is, training-free. `mode=ft` trains linear layers for
    queries and for keys, of pictures and of patches, for `epochs` of Adam at `lr`, which falls as a cosine by steps.
    In training keys above the quantile `masked_pictures`, or `masked_patches`, of a query's cosines do not count: it
    would find itself; 1 hides none. `mode=clip` does the same at a constant rate, and then `prompts_epochs` of
    AnomalyCLIP's prompts, which each picture moves by the mean of the patches whose vote is above `region`, and by that
    of the others; `deep_precision=float16` rounds their deep tokens, as released.

    Map = the vote of the patches, or the prompts' softmax(cos / 0.07), smoothed by `sigma`. Image score =
    `picture_share` of the picture's vote, and the rest of the mean of the map's largest hundredth.
    """

    mode: Annotated[Literal["tf", "ft", "clip"], Removable("trained linear layers (MRAD-FT)", off="tf")] = "ft"
    most: int = 5000
    picture_share: Annotated[float, AtTest] = 0.7
    masked_pictures: Annotated[float, Removable("similarity masking of pictures", off="1")] = 0.95
    masked_patches: Annotated[float, Removable("similarity masking of patches", off="1")] = 0.8
    region: float = 0.5
    deep_precision: Literal["float32", "float16"] = "float32"
    sigma: Annotated[float, AtTest] = 4.0
    epochs: int = 1
    prompts_epochs: int = 5
    lr: float = 4e-4

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        check_schedule(self.epochs, self.lr)
        check_schedule(self.prompts_epochs, self.lr)
        check_sigma(self.sigma)
        if self.most < 1:
            raise BadOption(f"most={self.most}; wanted 1 picture or more")
        for name in ("picture_share", "masked_pictures", "masked_patches", "region"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadOption(f"{name}={getattr(self, name)}; wanted 0 to 1")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The raw v-v tokens from block 2 on, and the bare class token."""
        return frozenset({dense(tower), _CLS_BARE} if phase in ("train", "test") else ())

    def begin(self, task: Task) -> MradDetector:
        """Make room for the memory, and the layers of the mode."""
        return MradDetector(self, task)

    def training(self, task: Task) -> tuple[Stage, ...]:
        """One pass that remembers, whatever epochs are asked for, then those that train."""
        remembering = Stage("memory", 1, task.batch_size or _BATCH)
        retrieval = task.stage("retrieval", epochs=self.epochs, batch=_BATCH)
        prompts = task.stage("prompts", epochs=self.prompts_epochs, batch=_BATCH)
        learning = {"tf": (), "ft": (retrieval,), "clip": (retrieval, prompts)}[self.mode]
        return (remembering, *(stage for stage in learning if stage.epochs))


class MradDetector(Detector):
    """The memory, and what is trained beside it, at work on one task: the same for every category."""

    def __init__(self, method: Mrad, task: Task) -> None:
        super().__init__()
        if task.image is None or (task.text is None and method.mode == "clip"):
            raise NotApplicable("mrad projects patches and prompts by the live towers, and they are not there")
        self.method, self.task, self.image, self.tower = method, task, task.image, task.tower
        draws, room = torch.Generator().manual_seed(task.seed), min(method.most, task.pictures)
        joint = None if method.mode == "tf" else task.tower.joint
        self.pictures = Retrieval(room, task.tower.joint, joint, draws=draws).to(task.device)
        self.patches = Retrieval(2 * room, task.tower.width, joint, draws=draws).to(task.device)
        self.prompts: RegionPrompts | None = None
        self.stages = method.training(task)
        learned = [*self.pictures.parameters(), *self.patches.parameters()]
        if learned:
            self.optimiser = torch.optim.Adam(learned, lr=method.lr, betas=BETAS)
        if method.mode == "ft":
            steps = sum(stage.epochs * stage.steps(task.pictures) for stage in self.stages[1:])
            self.rates = CosineAnnealingLR(self.optimiser, max(1, steps), eta_min=min(_LEAST_RATE, method.lr))
        if method.mode == "clip" and task.text is not None:
            half = method.deep_precision == "float16"
            self.prompts = RegionPrompts(task.text, task.tower.joint, half=half, seed=task.seed).to(task.device)
            self.prompt_optimiser = torch.optim.Adam(self.prompts.parameters(), lr=method.lr, betas=BETAS)
        self.facts = self._facts(room)

    def _facts(self, room: int) -> dict[str, Any]:
        method, task = self.method, self.task
        if room < task.pictures:
            logger.warning("mrad remembers %d of %d training pictures; [most=N] says how many", room, task.pictures)
        return {
            "epochs": sum(stage.epochs for stage in self.stages[1:]),
            "learning_rate": method.lr if self.stages[1:] else None,
            "learned": {"numbers": numbers_in(self)},
            "memory": {"pictures": room, "of": task.pictures},
            "sigma": method.sigma,
            "released_positions": BILINEAR_POSITIONS,
            "schedule": schedules_of(task, self.stages[1:], lr=method.lr),
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """Remember a batch, which loses nothing, or take one Adam step.

        `loss` = `focal` + `dice`, of the defect and of prompts also of the rest, and `ce` of the pictures' votes.
        """
        if at.stage.name == "memory":
            self._remember(features)
            return {}
        if at.stage.name == "prompts":
            return descend_by(self.prompts_loss, features, self.prompt_optimiser, self.task)
        terms = descend_by(self.loss, features, self.optimiser, self.task)
        if self.method.mode == "ft":
            self.rates.step()
        return terms

    @torch.no_grad()
    def _remember(self, features: Features) -> None:
        """Keep the class tokens and regions of a batch, of as many pictures as there is room for."""
        some = features.rows(0, len(self.pictures.keys) - int(self.pictures.held))
        if not len(some):
            return
        cls = some[_CLS_BARE]
        self.pictures.remember(cls, cls.new_tensor(some.labels))
        self.patches.remember(*region_keys(self.queries(some), some[MASK], self.tower.frame.grid))

    def queries(self, features: Features) -> Tensor:
        """The patches (B, P, C) that ask and are remembered: behind ln_post, means of their neighbourhoods."""
        return window_means(self.image.norm(features[dense(self.tower)]), self.tower.frame.grid)

    def loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of the votes on a training batch and its terms, with gradients."""
        votes, mask = self._votes(features, training=True), features[MASK]
        maps = self._upsample(votes)
        chance = self.pictures(features[_CLS_BARE], hidden=self.method.masked_pictures)  # (B,)
        labels = torch.tensor(features.labels, device=chance.device)
        terms = {
            "focal": focal_of_right(torch.where(mask > 0, maps, 1 - maps)),
            "dice": dice_loss(maps, mask),
            "ce": F.cross_entropy(torch.stack([1 - chance, chance], dim=1) / _TEMPERATURE, labels),
        }
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def prompts_loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of the prompts on a training batch and its terms, with gradients; the votes are held still."""
        with torch.no_grad():
            votes = self._votes(features, training=True)
        logits, mask = self._text_logits(features, votes), features[MASK]
        anomalous, normal = (self._upsample(torch.sigmoid(side)) for side in (logits, -logits))
        focal = focal_of_right(torch.where(mask > 0, anomalous, normal))
        dice = dice_loss(anomalous, mask) + dice_loss(normal, 1 - mask)
        return {"loss": focal + dice, "focal": focal, "dice": dice}

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Maps: votes, or prompts, smoothed. Scores: the picture's vote, and the map's largest pixels."""
        if not (self.pictures.knows_both and self.patches.knows_both):
            return Prediction(None, None, _NOTHING, _NOTHING)
        patches = self._votes(features)
        if self.prompts is not None:
            patches = torch.sigmoid(self._text_logits(features, patches))
        maps = smooth(self._upsample(patches), self.method.sigma)
        highest = largest_mean(maps, max(1, int(_TOP * maps[0].numel())))
        return Prediction(torch.lerp(highest, self.pictures(features[_CLS_BARE]), self.method.picture_share), maps)

    def _votes(self, features: Features, *, training: bool = False) -> Tensor:
        """The probability of ANOMALOUS of each patch by the memory: (B, P)."""
        votes: Tensor = self.patches(self.queries(features), hidden=self.method.masked_patches if training else None)
        return votes

    def _text_logits(self, features: Features, votes: Tensor) -> Tensor:
        """Logits of ANOMALOUS against NORMAL of each patch by the prompts of its picture: (B, P)."""
        if self.prompts is None:
            raise NotApplicable(f"mrad[mode={self.method.mode}] has no prompts")
        seen = self.image.project(features[dense(self.tower)])
        patches = unit(window_means(seen, self.tower.frame.grid))  # (B, P, D)
        anchors = unit(self.prompts(region_means(patches, votes > self.method.region)))  # (B, 2, D)
        return torch.einsum("bpd,bd->bp", patches, anchors[:, ANOMALOUS] - anchors[:, NORMAL]) / _TEMPERATURE

    def _upsample(self, patches: Tensor) -> Tensor:
        """(B, P) -> (B, H, W)."""
        return pixels(patches, self.tower.frame, align_corners=False)


def dense(tower: TowerSpec) -> Part:
    """The patches that MRAD reads."""
    return Part("vv-from2", tower.depth)


def region_keys(patches: Tensor, masks: Tensor, grid: Size) -> tuple[Tensor, Tensor]:
    """The mean patches (N, C) of wholly defective and of wholly good patches, and labels (N,), picture by picture.

    Of patches (B, P, C) and masks (B, H, W); a picture has at most one of either kind, the defect's first.
    """
    low = F.interpolate(masks[:, None], size=grid, mode="bilinear").flatten(1)  # (B, P), as released
    covered = torch.stack([low == 1, low == 0], dim=1).to(patches)  # (B, 2, P)
    means = covered @ patches / covered.sum(-1, keepdim=True).clamp(min=1)  # (B, 2, C)
    there = covered.any(-1)
    labels = means.new_tensor([ANOMALOUS, NORMAL]).expand(len(patches), 2)
    return means[there], labels[there]
