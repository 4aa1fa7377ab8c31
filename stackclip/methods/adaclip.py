"""AdaCLIP: learned tokens in both towers, some for all pictures and some that each picture makes (Cao et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from stackclip.data.names import CategoryNames
from stackclip.errors import BadOption, NotApplicable
from stackclip.heads.projections import draw_linear, empty_linear
from stackclip.heads.released import check_there, load_released
from stackclip.methods.anchors import two_sides
from stackclip.methods.method import Detector, Method, Moment, Phase, Task, Terms
from stackclip.methods.schedule import BETAS, check_schedule, check_sigma, descend_by, schedules_of
from stackclip.methods.tokens import PromptTokens
from stackclip.ops.fusion import semantic_fusion
from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.ops.maps import LOGIT_SCALE, pixels, smooth, unit
from stackclip.ops.modules import numbers_in
from stackclip.prompts.phrases import ADACLIP
from stackclip.registry import AtTest, Removable, methods
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, Prediction, TowerSpec

__all__ = ["AdaClip", "AdaClipDetector", "AdaLayers", "PromptedSight"]

START = Part("hidden", 0)
_BATCH = 1  # pictures a step, as released
_DECAY = 0.01  # of AdamW
_CLUSTER_SEED = 0  # k-means belongs to the picture, not to the training: one for all seeds
_POSITIONS = "bicubic"  # how the released code resizes position embeddings


@methods.register("adaclip")
@dataclass(frozen=True, kw_only=True)
class AdaClip(Method):
    """AdaCLIP: static and dynamic tokens in the first `depth` layers of both towers, and linear layers behind them.

    `length` tokens stand behind the patches in image layers 1 to `depth`, and take the place of those behind the start
    of text in text layers 2 to `depth`. Each is a static one plus one that a linear layer makes of the picture's class
    token, so both towers run anew for each picture, the image tower from its first block on. Map = softmax(100 cos) of
    the mean logits of all tapped layers, smoothed by `sigma`. Image score = the same of the class token, into which
    `share` of the centres of the most anomalous patches is mixed (k-means with `clusters`).
    Loss = focal(score) + sum over layers (focal + dice of both sides), AdamW at `lr` for `epochs`, one picture a step.
    `class_names` is what categories are called.

    As released: `dice=rows` takes the dice loss of each row of a map, `prompt_precision=float16` rounds the tokens.
    The released code runs OpenAI's weights under plain GELU: give `--activation gelu` for its numbers.

    `weights` is a file of what AdaCLIP learned (see `stackclip.heads.released`): nothing is then trained.
    """

    length: int = 5
    depth: int = 4
    prompt_precision: Literal["float32", "float16"] = "float32"
    clusters: int = 20
    share: Annotated[float, Removable("hybrid semantic fusion (HSF)", off="0")] = 0.2
    dice: Literal["picture", "rows"] = "picture"
    class_names: str = "raw"
    sigma: Annotated[float, AtTest] = 4.0
    epochs: int = 5
    lr: float = 1e-2
    weights: Path | None = None

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be, and what wrong class names and weights raise."""
        check_schedule(self.epochs, self.lr)
        check_sigma(self.sigma)
        CategoryNames(self.class_names)
        for name in ("length", "depth", "clusters"):
            if getattr(self, name) < 1:
                raise BadOption(f"{name}={getattr(self, name)}; wanted 1 or more")
        if not 0 <= self.share <= 1:
            raise BadOption(f"share={self.share}; wanted 0 to 1")
        check_there(self.weights)

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The tokens that the first block reads, and the class token."""
        return frozenset({START, CLS} if phase in ("train", "test") else ())

    def begin(self, task: Task) -> AdaClipDetector:
        """Make the tokens and the linear layers, or take those of `weights`."""
        return AdaClipDetector(self, task)


@dataclass(frozen=True, slots=True)
class PromptedSight:
    """What is made of one picture: logits of ANOMALOUS against NORMAL of each patch (K, P) and of the picture ()."""

    patches: Tensor
    picture: Tensor


@dataclass(frozen=True, slots=True)
class _Phrases:
    """The prompt ensemble of a category as token embeddings (N, L, W), read at `ends`; `normal` of them come first."""

    embedded: Tensor
    ends: Tensor
    normal: int


class AdaLayers(nn.Module):
    """All that AdaCLIP learns: tokens for both towers, a linear layer for each tap and one for the class token."""

    def __init__(self, method: AdaClip, tower: TowerSpec, *, text_width: int, text_depth: int, seed: int) -> None:
        super().__init__()
        draws, half = torch.Generator().manual_seed(seed), method.prompt_precision == "float16"

        def tokens(first: int, depth: int, width: int) -> PromptTokens:
            layers = range(first, min(method.depth, depth) + 1)
            return PromptTokens(layers, count=method.length, width=width, joint=tower.joint, half=half, draws=draws)

        self.vision = tokens(1, tower.depth, tower.width)
        self.text = tokens(2, text_depth, text_width)  # nothing stands in the first layer: it would not be read
        self.patches = nn.ModuleList(empty_linear(tower.width, tower.joint) for _ in tower.layers)
        self.cls = empty_linear(tower.joint, tower.joint)
        for each in (self.patches, self.cls):
            draw_linear(each, draws)


class AdaClipDetector(Detector):
    """Tokens and linear layers at work on one task, a picture at a time."""

    why_no_graph = "it clusters the patches of each picture by k-means, for its score"

    def __init__(self, method: AdaClip, task: Task) -> None:
        super().__init__()
        if task.text is None or task.image is None:
            raise NotApplicable("adaclip learns through both towers, and they are not there")
        self.text, self.image, self.tower, self.task = task.text, task.image, task.tower, task
        self.method = method
        start = task.text.embed_tokens(task.text.tokenize([""]))  # (1, 2, W)
        self.learned = AdaLayers(
            method, task.tower, text_width=start.shape[-1], text_depth=task.text.text_depth, seed=task.seed
        ).to(start)
        class_names = task.class_names or method.class_names
        self._name, self._known = CategoryNames(class_names), dict[str, _Phrases]()
        stage, released = task.stage("prompts", epochs=method.epochs, batch=_BATCH), None
        if method.weights is not None:
            released = load_released(self.learned, method.weights, owner="adaclip")
        elif stage.epochs:
            self.stages = (stage,)
        self.optimiser = torch.optim.AdamW(self.learned.parameters(), lr=method.lr, betas=BETAS, weight_decay=_DECAY)
        self.facts = {
            "class_names": class_names,
            "epochs": sum(each.epochs for each in self.stages),
            "learning_rate": method.lr,
            "learned": {"numbers": numbers_in(self.learned)},
            "sigma": method.sigma,
            "cluster_seed": _CLUSTER_SEED,
            "released_positions": _POSITIONS,
            "schedule": schedules_of(task, self.stages, lr=method.lr),
            "weights": released,
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """One AdamW step: `loss` = `score` + `focal` + `dice`, the last two summed over the layers."""
        return descend_by(self.loss, features, self.optimiser, self.task)

    def loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of a training batch and its terms, with gradients: means over its pictures."""
        rows = [self._terms(self.sight(features, row), features, row) for row in range(len(features))]
        terms = {name: torch.stack([row[name] for row in rows]).mean() for name in ("score", "focal", "dice")}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Maps: softmax of the mean logits of the layers, smoothed. Scores: softmax of the mixed class token."""
        sights = [self.sight(features, row) for row in range(len(features))]
        logits = torch.stack([each.patches.mean(0) for each in sights])  # (B, P)
        maps = smooth(torch.sigmoid(pixels(logits, self.tower.frame)), self.method.sigma)
        return Prediction(torch.sigmoid(torch.stack([each.picture for each in sights])), maps)

    def sight(self, features: Features, row: int) -> PromptedSight:
        """Both towers, with the tokens of one picture of a batch."""
        cls = features[CLS][row]  # (D,)
        anchors = self.anchors(features.samples[row].category, cls)
        direction = LOGIT_SCALE * (anchors[ANOMALOUS] - anchors[NORMAL])  # (D,)
        own, tokens = self.see(features[START][row], cls)
        patches = tokens @ direction  # (K, P)
        fused = semantic_fusion(tokens, patches.mean(0), clusters=self.method.clusters, seed=_CLUSTER_SEED)
        mixed = unit(self.method.share * fused + (1 - self.method.share) * own)
        return PromptedSight(patches, mixed @ direction)

    def see(self, hidden: Tensor, cls: Tensor) -> tuple[Tensor, Tensor]:
        """The unit projected class token (D,) and patches (K, P, D), of `hidden/0` (1 + P, C) of a picture."""
        taps, depth, patches = self.tower.layers, self.tower.depth, len(hidden) - 1
        found = self.image.resume(hidden[None], 1, stops=(*taps, depth), append=self.learned.vision(cls))
        tokens = torch.stack(
            [unit(layer(found[tap][0, 1 : 1 + patches])) for tap, layer in zip(taps, self.learned.patches, strict=True)]
        )
        return unit(self.learned.cls(self.image.project(found[depth][0, 0]))), tokens

    def anchors(self, category: str, cls: Tensor) -> Tensor:
        """The text anchors (2, D) of a category for a picture, with gradients: its ensemble under the tokens."""
        phrases = self._phrases(category)
        deep = self.learned.text(cls)
        features = self.text.encode_embedded(phrases.embedded, phrases.ends, deep=deep, placing="replace")
        return two_sides(features, phrases.normal)

    def _terms(self, sight: PromptedSight, features: Features, row: int) -> dict[str, Tensor]:
        label = sight.picture.new_tensor(features.labels[row])
        logits, mask = pixels(sight.patches, self.tower.frame), features[MASK][row]  # (K, H, W), (H, W)
        focal, dice = [], []
        for layer in logits:
            focal.append(focal_loss(layer, mask))
            # The released squeeze takes the one picture of a batch for a batch of its rows.
            own, marked = (layer, mask) if self.method.dice == "rows" else (layer[None], mask[None])
            dice.append(dice_loss(torch.sigmoid(own), marked) + dice_loss(torch.sigmoid(-own), 1 - marked))
        return {
            "score": focal_loss(sight.picture, label),
            "focal": torch.stack(focal).sum(),
            "dice": torch.stack(dice).sum(),
        }

    def _phrases(self, category: str) -> _Phrases:
        if category not in self._known:
            name = self._name(category)
            normal, anomalous = (ADACLIP.phrases(name, side) for side in (NORMAL, ANOMALOUS))
            tokens = self.text.tokenize([*normal, *anomalous])  # (N, L)
            ends = tokens.argmax(1)
            if int(ends.min()) <= self.method.length:
                raise NotApplicable(
                    f"length={self.method.length} tokens would take the place of a whole prompt of {category!r}, "
                    f"which ends at place {int(ends.min())}: give fewer"
                )
            with torch.no_grad():
                embedded = self.text.embed_tokens(tokens).clone()
            self._known[category] = _Phrases(embedded, ends.to(embedded.device), len(normal))
        return self._known[category]
