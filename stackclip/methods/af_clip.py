"""AF-CLIP: one adaptor for the neighbourhoods of all tapped layers, and a learned context before two phrases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.errors import BadOption, NotApplicable
from stackclip.heads.adapters import AttentionAdapter
from stackclip.methods.endings import endings_of
from stackclip.methods.method import Detector, Draw, Inspector, Method, Moment, Phase, Task, Terms
from stackclip.methods.schedule import (
    BETAS,
    BILINEAR_POSITIONS,
    check_schedule,
    check_shots,
    check_sigma,
    descend,
    schedules_of,
)
from stackclip.ops.maps import pixels, smooth, unit
from stackclip.ops.modules import numbers_in
from stackclip.ops.neighbours import Bank
from stackclip.ops.windows import weighed_windows
from stackclip.registry import AtTest, Removable, methods
from stackclip.sizes import Size
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Prediction, TowerSpec

__all__ = ["AfClip", "AfClipDetector", "alignment_loss", "patch_targets"]

_PHRASES = ("without defect.", "with defect.")
_BATCH = 8  # pictures a step, as released
_CONTEXT, _SPREAD = 12, 0.01  # learned vectors, and how far they begin from 0
_SIDES, _REACH = (1, 3, 5), 4.0  # windows of patches, and the Gaussian that weighs them
_TEMPERATURE = 0.07
_GAMMA = 4  # of the focal loss


@methods.register("af-clip")
@dataclass(frozen=True, kw_only=True)
class AfClip(Method):
    """AF-CLIP: one self-attention for all tapped layers and neighbourhoods makes tokens that text is compared with.

    Patches are Gaussian means of 1, 3 and 5 patches a side; with the class token they go through the adaptor, ln_post
    and the projection. Text is "without defect." and "with defect." behind twelve learned vectors. The softmax of the
    summed cos / 0.07 is the image score at the class token, and the map at the patches, smoothed by `sigma`.
    Loss = focal (score) + focal + L1 (map) + alignment of patches, Adam at `lr` for `epochs`. `targets=overwritten`
    trains as released: the 0 of a map's target is -1 when the gradient of its focal loss is taken.

    With `shots` normal pictures of each tested category (`all`: all that there are) map and score are the distances to
    their patches and `text` of the above; `draw` says whether one may be drawn twice.
    """

    targets: Literal["kept", "overwritten"] = "kept"
    sigma: Annotated[float, AtTest] = 4.0
    epochs: int = 2
    lr: float = 1e-4
    text: Annotated[float, AtTest] = 0.1
    shots: Annotated[
        int | Literal["all"] | None, Removable("distances to normal patches (AF-CLIP+)", off="0", if_typed=True)
    ] = None
    draw: Draw = "distinct"

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        check_schedule(self.epochs, self.lr)
        check_shots(self.shots)
        check_sigma(self.sigma)
        if not 0 <= self.text < float("inf"):
            raise BadOption(f"text={self.text}; wanted 0 or more")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """What leaves the tapped blocks."""
        return frozenset(aggregated_taps(tower) if phase in ("train", "shots", "test") else ())

    def begin(self, task: Task) -> AfClipDetector:
        """Make the adaptor and the context."""
        return AfClipDetector(self, task)


class AfClipDetector(Detector):
    """The adaptor and the context at work on one task."""

    def __init__(self, method: AfClip, task: Task) -> None:
        super().__init__()
        if task.text is None or task.image is None:
            raise NotApplicable("af-clip learns through the text tower and projects tokens: a tower is not there")
        self.method, self.task, self.tower = method, task, task.tower
        self.text, self.image = task.text, task.image
        draws = torch.Generator().manual_seed(task.seed)
        self._endings = endings_of(task.text, _PHRASES, context=_CONTEXT)
        start = self._endings.start
        self.context = nn.Parameter((_SPREAD * torch.randn(_CONTEXT, start.shape[-1], generator=draws)).to(start))
        self.adapter = AttentionAdapter(task.tower.width, draws=draws).to(task.device)
        stage = task.stage("adaptor", epochs=method.epochs, batch=_BATCH)
        self.stages = (stage,) if stage.epochs else ()
        self.optimiser = torch.optim.Adam(self.parameters(), lr=method.lr, betas=BETAS)
        self.facts = {
            "epochs": stage.epochs,
            "learning_rate": method.lr,
            "learned": {"numbers": numbers_in(self)},
            "sigma": method.sigma,
            "released_positions": BILINEAR_POSITIONS,
            "schedule": schedules_of(task, self.stages, lr=method.lr),
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """One Adam step on a whole batch: `loss` = `score` + `focal` + `l1` + `alignment`, which pools its pictures."""
        return descend(self.optimiser, self.loss(features))

    def loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of a training batch and its terms, with gradients."""
        sets = self.tokens(features)
        logits = self._logits(sets)
        maps, target = logits[:, 1:], patch_targets(features[MASK], self.tower.frame.grid)
        overwritten = self.method.targets == "overwritten"
        terms = {
            "score": _focal(logits[:, 0], logits.new_tensor(features.labels)),
            "focal": _focal(maps, target, overwritten=overwritten),
            "l1": (torch.sigmoid(maps) - target).abs().mean(),
            "alignment": torch.stack([alignment_loss(each[:, 1:], target) for each in sets]).mean(),
        }
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def anchors(self) -> Tensor:
        """Raw text features of the two phrases (2, D), with gradients."""
        parts = [self.context.expand(len(_PHRASES), -1, -1), self._endings.start, self._endings.words]
        return self.text.encode_embedded(torch.cat(parts, 1)[:, : self.text.context_length], self._endings.ends)

    def tokens(self, features: Features) -> list[Tensor]:
        """Unit tokens (B, 1 + P, D) of each tap and neighbourhood, with gradients."""
        return [unit(self.image.project(self.adapter(each))) for each in neighbourhoods(features, self.tower)]

    def probabilities(self, features: Features) -> Tensor:
        """How anomalous the class token and each patch are: (B, 1 + P)."""
        return torch.sigmoid(self._logits(self.tokens(features)))

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """Itself, or with shots what compares with their patches too."""
        return AfClipInspector(self, shots) if self.task.shots else self

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Scores of the class token; maps of the patches, smoothed."""
        found = self.probabilities(features)
        return Prediction(found[:, 0], self.maps(found[:, 1:]))

    def maps(self, patches: Tensor) -> Tensor:
        """Values of patches (B, P), upsampled and smoothed: (B, H, W)."""
        return smooth(pixels(patches, self.tower.frame, align_corners=False), self.method.sigma)

    def _logits(self, sets: list[Tensor]) -> Tensor:
        anchors = unit(self.anchors())
        return torch.stack(sets).sum(0) @ (anchors[ANOMALOUS] - anchors[NORMAL]) / _TEMPERATURE


class AfClipInspector(Inspector):
    """AF-CLIP on one category, with the unadapted patches of its shots."""

    def __init__(self, detector: AfClipDetector, shots: Iterator[Features]) -> None:
        self.detector = detector
        seen = [[each[:, 1:].flatten(0, 1) for each in neighbourhoods(some, detector.tower)] for some in shots]
        self.banks = [Bank(torch.cat(each)) for each in zip(*seen, strict=True)]

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Distances to the shots and a part of the text's answer: the largest with the picture's, and the map's."""
        near, found = self.distances(features), self.detector.method.text * self.detector.probabilities(features)
        return Prediction(near.amax(1) + found[:, 0], self.detector.maps(near + found[:, 1:]))

    def distances(self, features: Features) -> Tensor:
        """How far each patch is from those of the shots, 0 to 1, the mean of all sets: (B, P)."""
        sets = [each[:, 1:] for each in neighbourhoods(features, self.detector.tower)]
        near = [
            bank.distances(each.flatten(0, 1)).reshape(each.shape[:2])
            for bank, each in zip(self.banks, sets, strict=True)
        ]
        return torch.stack(near).mean(0) / 2


def aggregated_taps(tower: TowerSpec) -> list[Part]:
    """The class token and patches behind each tapped block."""
    return [Part("hidden", layer) for layer in tower.layers]


def neighbourhoods(features: Features, tower: TowerSpec) -> Iterator[Tensor]:
    """Tokens (B, 1 + P, C) of each tap, their patches as Gaussian means of each window; class tokens as they are."""
    for part in aggregated_taps(tower):
        for side in _SIDES:
            away = torch.arange(side) - side // 2
            line = torch.exp(-(away**2) / (2 * _REACH**2))
            kernel = torch.outer(line, line) / line.sum() ** 2
            patches = weighed_windows(features[part][:, 1:], kernel, tower.frame.grid)
            yield torch.cat([features[part][:, :1], patches], dim=1)


def patch_targets(masks: Tensor, grid: Size) -> Tensor:
    """Masks (B, H, W) on the patch grid (B, P): 1 above a half of the bilinear mask, 0 below, and a half stays."""
    low = F.interpolate(masks[:, None].float(), size=grid, mode="bilinear").flatten(1)
    return torch.where(low == 0.5, low, (low > 0.5).to(low))


def alignment_loss(tokens: Tensor, target: Tensor) -> Tensor:
    """How much more alike unlike patches are than like ones, at least 0: unit tokens (B, P, D), target (B, P).

    The mean cosine of pairs of a picture on different sides, less that on one; pairs of all pictures are pooled.
    """
    sides = torch.stack([target == NORMAL, target == ANOMALOUS], dim=1).to(tokens)  # (B, 2, P)
    counts, sums = sides.sum(-1), sides @ tokens  # (B, 2), (B, 2, D): cosines of pairs are products of sums
    like = sums.square().sum() / counts.square().sum().clamp(min=1)
    unlike = (sums[:, 0] * sums[:, 1]).sum() / counts.prod(1).sum().clamp(min=1)
    return (unlike - like).relu()


def _focal(logits: Tensor, target: Tensor, *, overwritten: bool = False) -> Tensor:
    """Focal loss of the mean cross-entropy e, (1 - p)^4 e, p that of the target; for `overwritten` see `AfClip`.

    The release writes -1 over targets of 0 between forward and backward, so the gradients of e and p are those of -1.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    chance = torch.sigmoid(logits)
    right = chance * target + (1 - chance) * (1 - target)
    if overwritten:
        slope = F.logsigmoid(logits) - 2 * F.logsigmoid(-logits)  # e of a target of -1
        entropy = torch.where(target == 0, entropy.detach() + slope - slope.detach(), entropy)
        right = torch.where(
            target == 0, right - chance + chance.detach(), right
        )  # only its first target is overwritten
    return ((1 - right) ** _GAMMA * entropy).mean()
