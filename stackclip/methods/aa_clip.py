"""AA-CLIP: adapters that first pull apart the two texts, then bring the patches to them (Ma et al., CVPR 2025)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from stackclip.clip.image import ImageTower
from stackclip.data.names import CategoryNames
from stackclip.errors import BadOption, NotApplicable
from stackclip.heads.released import Release, check_there, load_released
from stackclip.methods.aa_clip_maps import AaClipInspector, logit_differences
from stackclip.methods.adapted import AdaptedImage, AdaptedText
from stackclip.methods.anchors import two_sides
from stackclip.methods.method import Detector, Inspector, Method, Moment, Phase, Stage, Task, Terms
from stackclip.methods.schedule import BETAS, OPEN_CLIP_POSITIONS, check_schedule, descend, descend_by, schedule_of
from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.ops.maps import pixels, unit
from stackclip.ops.modules import WhileUnchanged, numbers_in
from stackclip.prompts.described import described
from stackclip.prompts.phrases import AA_CLIP
from stackclip.registry import AtTest, Removable, methods
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, TowerSpec

__all__ = ["AaClip", "AaClipDetector"]

DESCRIBED = "described"  # class names of its own: a few words for what is seen
HIDDEN = Part("hidden", 1)
BEFORE_SURGERY = Part("hidden", 5)
_SURGERY_FROM = (
    BEFORE_SURGERY.index + 1
)  # the block whose attention is the first to be changed; taps before it are the plain tower's
_TEXT_BATCH, _IMAGE_BATCH = 16, 2  # pictures a step, as released
_MILESTONES, _DECAY = (16000, 32000), 0.5  # steps of the second stage after which its rate is halved, as released
_DISENTANGLE = 0.1  # the weight of the squared cosine of the two texts, as released


@methods.register("aa-clip")
@dataclass(frozen=True, kw_only=True)
class AaClip(Method):
    """AA-CLIP: residual adapters in the text tower, then in the image tower, each trained with the other held still.

    First `text_epochs` of Adam at `text_lr` on the text tower: adapters behind its blocks 1 to 3 and a projection of
    its own, against the taps of a tower with v-v attention, plus the class token. Then `epochs` at `lr`, halved after
    16000 and 32000 steps, on the image tower: adapters behind blocks 1 to 6 and linear layers on the taps, live from
    the cached output of block 1. Paper and released log read epoch 15 of its 20: `epochs=15`. `text_epochs=0` leaves
    the text tower as it is. `text_weights` and `weights` are the `text_adapter` and the `image_adapter` that AA-CLIP
    released (see `stackclip.heads.released`): what they hold is not trained.

    `text_loss` are the taps that the first stage learns from, `all` as the paper says, or the `last` as the released
    code does. `surgery=batch` has the v-v attention run over the batch, as the released code does: what a picture gives
    depends on its neighbours then, so the image tower runs live from `hidden/5`.

    Map = the sum over the taps of (1 + 100 (cos with anomalous - cos with normal)) / 2, smoothed on the patch grid.
    `image_score` is half the map's maximum, min-maxed over all maps of the tested category, and half the min-maxed
    cosine of the picture's token (`text+map`, transductive), the `map`'s maximum or the `text` alone; `auto` is
    `text+map`, `map` for the `variant` `medical`, which smooths more. Both stages are released with pictures that are
    changed at random: turned, shifted and flipped, in the second stage in their colours too. `augment=views` keeps as
    many such `views` of each picture in the store and takes them in turn, `augment=live` makes new ones for every epoch
    and keeps none, `none` leaves pictures as they are. `class_names=described` calls the categories of
    MVTec-AD and VisA by a few words for what is seen, and others by their natural names.
    """

    variant: Literal["industrial", "medical"] = "industrial"
    text_epochs: Annotated[int, Removable("text adapters (first stage)", off="0", overruled_by="epochs")] = 5
    text_lr: float = 1e-5
    text_loss: Literal["all", "last"] = "all"
    surgery: Literal["tokens", "batch"] = "tokens"
    epochs: int = 20
    lr: float = 5e-4
    image_score: Annotated[
        Literal["auto", "text+map", "map", "text"],
        AtTest,
        Removable("the picture's token in the image score", off="map"),
    ] = "auto"
    augment: Annotated[Literal["none", "views", "live"], Removable("augmentation", off="none")] = "none"
    views: int = 4
    text_weights: Path | None = None
    weights: Path | None = None
    class_names: str = DESCRIBED

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be; UsageError, DataError, WeightsError for wrong names and files."""
        check_schedule(self.text_epochs, self.text_lr)
        check_schedule(self.epochs, self.lr)
        if self.views < 1:
            raise BadOption(f"views={self.views}; wanted 1 or more")
        if self.class_names != DESCRIBED:
            CategoryNames(self.class_names)
        check_there(self.text_weights)
        check_there(self.weights)

    @property
    def scored(self) -> str:
        """What an image score is made of."""
        if self.image_score != "auto":
            return self.image_score
        return "text+map" if self.variant == "industrial" else "map"

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """Taps under surgery and the class token, and the tokens behind block 1; at test those alone."""
        if phase == "test":
            return frozenset(self.seen(tower))
        if phase != "train":
            return frozenset()
        return frozenset[Part]().union(*(stage.needs for stage in self.training(tower)))

    def seen(self, tower: TowerSpec) -> tuple[Part, ...]:
        """What the second stage and the test read: the tokens behind block 1.

        Raises NotApplicable for a tower that is tapped there.
        """
        if tower.layers[0] < HIDDEN.index + 1:
            raise NotApplicable(f"aa-clip taps no layer before the second, {tower.name} taps {tower.layers[0]}")
        return (HIDDEN,)

    def adapted(self, image: ImageTower | None, tower: TowerSpec, *, draws: torch.Generator) -> AdaptedImage:
        """What is trained of the image side, from a random start."""
        return AdaptedImage(image, tower, draws=draws)

    def check(self, tower: TowerSpec) -> None:
        """Raise WeightsError for weights of another image tower; a text tower shows its width when it is there."""
        _loaded(self.adapted(None, tower, draws=torch.Generator()), self.weights, "aa-clip image")

    def training(self, tower: TowerSpec) -> tuple[Stage, ...]:
        """The training of the text and that of the image, as released; what weights are given of is not trained."""
        text = Stage("text", self.text_epochs, _TEXT_BATCH, self._text_parts(tower), self._views("move"))
        image = Stage("image", self.epochs, _IMAGE_BATCH, frozenset(self.seen(tower)), self._views("jitter"))
        return tuple(each for each, given in ((text, self.text_weights), (image, self.weights)) if given is None)

    def _views(self, change: str) -> tuple[str, ...]:
        """The views that a stage sees its pictures in, by the kind of change."""
        if self.augment == "none":
            return ("",)
        kept = self.augment == "views"
        count = self.views if kept else max(self.text_epochs, self.epochs, 1)
        return tuple(f"{'' if kept else 'live-'}{change}-{number}" for number in range(1, count + 1))

    def _text_parts(self, tower: TowerSpec) -> frozenset[Part]:
        """What the steps of the first stage read."""
        taps = self.taps(tower)
        if self.surgery == "tokens":
            return frozenset({*taps, CLS})
        return frozenset({*(part for part in taps if part.kind == "joint"), BEFORE_SURGERY, CLS})

    def taps(self, tower: TowerSpec) -> tuple[Part, ...]:
        """What the text learns from."""
        return tuple(Part("surgery" if layer >= _SURGERY_FROM else "joint", layer) for layer in tower.layers)

    def begin(self, task: Task) -> AaClipDetector:
        """Make the adapters and the linear layers, from a random start."""
        return AaClipDetector(self, task)


class AaClipDetector(Detector):
    """The adapters at work on one task."""

    def __init__(self, method: AaClip, task: Task) -> None:
        super().__init__()
        if task.text is None or task.image is None:
            raise NotApplicable("aa-clip learns inside both towers, and one of them is not there")
        draws = torch.Generator().manual_seed(task.seed)
        self.text = AdaptedText(task.text, task.tower.joint, draws=draws).to(task.device)
        self.image = method.adapted(task.image, task.tower, draws=draws).to(task.device)
        self.seen = method.seen(task.tower)
        self.method, self.task, self.frame, self.taps = method, task, task.tower.frame, method.taps(task.tower)
        self.text_optimiser = torch.optim.Adam(self.text.parameters(), lr=method.text_lr, betas=BETAS)
        self.image_optimiser = torch.optim.Adam(self.image.parameters(), lr=method.lr, betas=BETAS)
        self.rates = MultiStepLR(self.image_optimiser, list(_MILESTONES), _DECAY)
        names = task.class_names or method.class_names
        self._name = described if names == DESCRIBED else CategoryNames(names)
        self._known = WhileUnchanged(self.text)
        self.stages = tuple(stage for each in method.training(task.tower) if (stage := task.adjusted(each)).epochs)
        self.adapts_text = method.text_weights is not None or "text" in {stage.name for stage in self.stages}
        self.facts = {**self._facts(method, task), "class_names": names}
        self.facts["text_weights"] = _loaded(self.text, method.text_weights, "aa-clip text")
        self.facts["weights"] = _loaded(self.image, method.weights, "aa-clip image")

    def _facts(self, method: AaClip, task: Task) -> dict[str, Any]:
        rates = {"text": method.text_lr, "image": method.lr}
        learned = {"text": self.text, "image": self.image}
        return {
            "epochs": sum(stage.epochs for stage in self.stages),
            "learned": {name: numbers_in(part) for name, part in learned.items()},
            "paths": [str(part) for part in (*self.taps, *self.seen)],
            "released_positions": OPEN_CLIP_POSITIONS,
            "schedule": {stage.name: schedule_of(task, stage, lr=rates[stage.name]) for stage in self.stages},
            "start_seed": task.seed,
            "surgery": method.surgery,
            "augment": f"{method.views} views" if method.augment == "views" else method.augment,
            "image_score": f"{method.scored} (transductive)" if method.scored == "text+map" else method.scored,
        }

    def step(self, features: Features, at: Moment) -> Terms:
        """One Adam step of the stage: `loss` = `focal` + `dice`, and `disentangle` of the text, `ce` of pictures."""
        if at.stage.name == "text":
            return descend(self.text_optimiser, self.text_loss(features))
        terms = descend_by(self.image_loss, features, self.image_optimiser, self.task)
        self.rates.step()
        return terms

    def text_loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of the first stage and its terms, with gradients. AA-CLIP, equations 3 to 5.

        Equation 4 has a classification loss too, which the released code does not.
        """
        anchors = self._of_each(features, {each: self._anchors(each) for each in dict.fromkeys(features.categories)})
        cls = unit(features[CLS])[:, None].to(anchors)
        levels = torch.stack([unit(tap).to(anchors) + cls for tap in self._taps_of(features)])  # (K, B, P, D)
        apart = (anchors[:, NORMAL] * anchors[:, ANOMALOUS]).sum(1).mean() ** 2
        return _total({**self._segmentation(levels, anchors, features), "disentangle": _DISENTANGLE * apart})

    def _taps_of(self, features: Features) -> list[Tensor]:
        """The projected taps (B, P, D) that the text learns from."""
        taps = self.taps if self.method.text_loss == "all" else self.taps[-1:]
        if self.method.surgery == "tokens":
            return [features[part] for part in taps]
        stops = [part.index for part in taps if part.kind == "surgery"]
        tower = self.image.live
        found = tower.across_batch(features[BEFORE_SURGERY], _SURGERY_FROM, stops=stops) if stops else {}
        return [tower.project(found[part.index][:, 1:]) if part.index in found else features[part] for part in taps]

    def image_loss(self, features: Features) -> dict[str, Tensor]:
        """The loss of the second stage and its terms, with gradients. AA-CLIP, equations 4 and 6."""
        anchors = self._of_each(features, {each: self.anchors(each) for each in dict.fromkeys(features.categories)})
        levels, tokens = self.see(features, anchors)
        labels = torch.tensor(features.labels, device=anchors.device)
        entropy = F.cross_entropy(torch.einsum("bd,bsd->bs", tokens, anchors), labels)  # no temperature, as released
        return _total({**self._segmentation(levels, anchors, features), "ce": entropy})

    def see(self, features: Features, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Unit patches (K, B, P, D) of K taps and a token (B, D) of each picture, as its image side is now."""
        levels, tokens = self.image(*(features[part].to(anchors) for part in self.seen))
        return levels, tokens

    def _segmentation(self, levels: Tensor, anchors: Tensor, features: Features) -> dict[str, Tensor]:
        """Focal and Dice of both sides, summed over levels (K, B, P, D) under anchors (B, 2, D)."""
        mask = features[MASK].to(anchors)
        focal, dice = anchors.new_zeros(()), anchors.new_zeros(())
        for level in levels:
            logits = pixels(logit_differences(level, anchors), self.frame)  # (B, H, W)
            focal = focal + focal_loss(logits, mask)
            dice = dice + dice_loss(torch.sigmoid(logits), mask) + dice_loss(torch.sigmoid(-logits), 1 - mask)
        return {"focal": focal, "dice": dice}

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """Itself under the anchors of a category; it is zero-shot."""
        return AaClipInspector(self, self.anchors(category))

    @property
    def takes_shots(self) -> bool:
        """It is zero-shot."""
        return False

    def anchors(self, category: str) -> Tensor:
        """The anchors (2, D) as they are now; the text tower runs again only after training changed it."""
        with torch.no_grad():
            return self._known.get(lambda: self._anchors(category), category)

    def _anchors(self, category: str) -> Tensor:
        """The unit mean of unit text features of each side: (2, D)."""
        normal, anomalous = (AA_CLIP.phrases(self._name(category), side) for side in (NORMAL, ANOMALOUS))
        return two_sides(self.text([*normal, *anomalous], adapted=self.adapts_text), len(normal))

    def _of_each(self, features: Features, anchors: Mapping[str, Tensor]) -> Tensor:
        """The anchors of each picture's category: (B, 2, D)."""
        return torch.stack([anchors[category] for category in features.categories])


def _loaded(module: nn.Module, path: Path | None, owner: Release) -> dict[str, Any] | None:
    """Take the weights of a file, if one is given, and return what a row should say of them."""
    return None if path is None else load_released(module, path, owner=owner)


def _total(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"loss": torch.stack(list(terms.values())).sum(), **terms}
