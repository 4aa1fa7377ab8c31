"""PromptAD: prompts learned for each category from its few normal pictures alone (Li et al., CVPR 2024)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from stackclip.data.names import CategoryNames
from stackclip.errors import BadOption, NotApplicable, WeightsError
from stackclip.heads.released import ANY, check_there, read_released
from stackclip.methods.category_prompts import CategoryPrompts, Reach, one_class_loss
from stackclip.methods.memory import PatchMemory
from stackclip.methods.method import Detector, Draw, Inspector, Method, Phase, Task, Terms
from stackclip.methods.schedule import OPEN_CLIP_POSITIONS, check_schedule, check_shots, check_sigma, descend
from stackclip.ops.maps import LOGIT_SCALE, pixels, smooth, unit
from stackclip.prompts.phrases import PROMPTAD, PROMPTAD_DEFECTS
from stackclip.registry import Removable, methods
from stackclip.types import ANOMALOUS, CLS, NORMAL, Features, Part, Prediction, TowerSpec

__all__ = ["PromptAd", "PromptAdDetector", "PromptAdInspector"]

Kind = Literal["cls", "seg"]
CONTEXTS: Mapping[Kind, int] = {"cls": 3, "seg": 1}
"""How many normal prompts are learned for image scores, and for maps; as in the released scripts."""

LEARNED = 4  # anomalous tokens
_NAMED = re.compile(r"(?P<task>CLS|SEG)-Seed_\d+-(?P<category>.+)-check_point\.")  # what the released code writes
_BATCH = 400  # pictures a step, as released: all shots that there are
_MOMENTUM, _DECAY, _LAST_RATE = 0.9, 5e-4, 1e-5  # of SGD and its cosine, as released


@methods.register("promptad")
@dataclass(frozen=True, kw_only=True)
class PromptAd(Method):
    """PromptAD: prompts learned for each tested category from its shots, and from nothing else (Li et al. 2024).

    A normal prompt is "[V] ... [class].", with `context` learned vectors. The anomalous ones are each normal one with
    a state, "[V] ... damaged [class].", in words, and each with one of four learned tokens, `place` before the class as
    released or behind it as in the paper. `states=named` takes words for what can be wrong with the categories of
    MVTec-AD and VisA too, as published; `general` are those for any. `class_names` is what categories are called.
    Loss = cross-entropy of the normal anchor against all anomalous prompts, logits `scale` * cos, + triplet
    + 0.001 * match; SGD with momentum for `epochs`, from `lr` down a cosine, all shots in each step.

    `task=cls` learns three normal prompts from class tokens and gives image scores, `seg` learns one from v-v patches
    and gives maps, each trained by itself as released; `both` trains the two side by side. Text is combined with the
    distance of patches to those of the shots, after a quarter and two thirds of the blocks (3 and 8 of 12), as
    1 / (1 / text + 1 / distance); maps are smoothed by `sigma`. It must be shown shots: `shots` normal pictures
    of each tested category (`all`: all that there are; `auto`: as many as the bench says); `draw` says whether one may
    be drawn twice.

    The released code forgets an exponential, sums distances over patches, and writes into its taps:
    `scale=4.6052`, `triplet=channel` and `taps=released` do so too. `weights` is a check_point that it wrote for one
    category and task (see `stackclip.heads.released`), which is then tested without shots: `task` must say which task,
    and the file's name says the category.
    """

    task: Literal["both", "cls", "seg"] = "both"
    context: int = 4
    place: Literal["before", "behind"] = "before"
    states: Annotated[Literal["named", "general"], Removable("states named for a category", off="general")] = "named"
    scale: float = LOGIT_SCALE
    triplet: Reach = "patch"
    taps: Literal["clean", "released"] = "clean"
    class_names: str = "natural"
    sigma: float = 4.0
    epochs: int = 100
    lr: float = 2e-3
    shots: int | Literal["all"] | None = None
    draw: Draw = "distinct"
    weights: Path | None = None

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be, WeightsError for weights that are not there."""
        check_schedule(self.epochs, self.lr)
        check_shots(self.shots)
        check_sigma(self.sigma)
        CategoryNames(self.class_names)
        if self.context < 1:
            raise BadOption(f"context={self.context}; wanted 1 or more")
        if not 0 < self.scale < math.inf:
            raise BadOption(f"scale={self.scale}; wanted a number above 0")
        check_there(self.weights)
        if self.weights is not None and (self.task == "both" or self.taps == "clean"):
            raise BadOption(
                f"weights={self.weights} are of one task and of released taps; wanted taps=released and task=cls or "
                f"task=seg, found taps={self.taps} and task={self.task}"
            )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it is trained for."""
        return ("cls", "seg") if self.task == "both" else (self.task,)

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The tokens that its prompts are compared with, and the patches that are remembered."""
        if phase not in ("shots", "test"):
            return frozenset()
        return frozenset({*(token_of(kind, tower) for kind in self.kinds), *self.remembered(tower)})

    def remembered(self, tower: TowerSpec) -> tuple[Part, Part]:
        """The patches after a quarter and after two thirds of the blocks: 3 and 8 of 12."""
        if tower.depth < 4:
            raise NotApplicable(
                f"it remembers patches after a quarter of the blocks, but {tower.name} has {tower.depth}"
            )
        kind = "patch" if self.taps == "clean" else "patch-released"
        return Part(kind, tower.depth // 4), Part(kind, 2 * tower.depth // 3)

    def words(self, category: str, name: str) -> tuple[str, ...]:
        """What stands behind the context for a category of a name: the normal words, then those of each state."""
        defects = PROMPTAD_DEFECTS.get(category, ()) if self.states == "named" else ()
        anomalous = (*PROMPTAD.phrases(name, ANOMALOUS), *(f"{name} with {defect}." for defect in defects))
        return (*PROMPTAD.phrases(name, NORMAL), *anomalous)

    def check(self, tower: TowerSpec) -> None:
        """Raise WeightsError for `weights` that do not fit the tower."""
        self.released(tower)

    def released(self, tower: TowerSpec) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The anchors (2, D), `early` and `late` patches (M, C) of `weights`, and what rows say of them; or None."""
        if self.weights is None:
            return None
        if (named := _NAMED.match(self.weights.name)) and named["task"].lower() != self.task:
            raise WeightsError(f"{self.weights}: its name says task={named['task'].lower()}, found task={self.task}")
        shapes = {"anchors": (2, tower.joint), "early": (ANY, tower.width), "late": (ANY, tower.width)}
        return read_released(shapes, self.weights, owner="promptad")

    def begin(self, task: Task) -> PromptAdDetector:
        """Nothing is learned before shots are there."""
        return PromptAdDetector(self, task)


def token_of(kind: Kind, tower: TowerSpec) -> Part:
    """What prompts are compared with: the class token, or the raw v-v path of all blocks."""
    return CLS if kind == "cls" else Part("vv-from1", tower.depth)


class PromptAdDetector(Detector):
    """PromptAD on one task; what is learned belongs to each category."""

    least_shots = 1
    seed: Tensor

    def __init__(self, method: PromptAd, task: Task) -> None:
        super().__init__()
        if task.text is None or task.image is None:
            raise NotApplicable("promptad learns through the text tower and projects v-v patches: a tower is not there")
        self.method, self.tower, self.text, self.image = method, task.tower, task.text, task.image
        self.device, class_names = task.device, task.class_names or method.class_names
        self.name = CategoryNames(class_names)
        self.register_buffer("seed", torch.tensor(task.seed))  # what all that it learns begins from
        self.stage = task.stage("prompts", epochs=method.epochs, batch=_BATCH)
        released = method.released(task.tower)
        self.recalled = released[0] if released else None
        if released:
            self.least_shots, self.stage = 0, replace(self.stage, epochs=0)
            if task.shots:
                raise NotApplicable("its weights remember the shots that they were learned from: show it none")
        self.facts = {
            "class_names": class_names,
            "epochs": self.stage.epochs,
            "learning_rate": method.lr,
            "sigma": method.sigma,
            "paths": [str(part) for part in sorted(method.needs(task.tower, "test"))],
            "released_positions": OPEN_CLIP_POSITIONS,
            "schedule": {"prompts": self._schedule(task.shots)} if self.stage.epochs else {},
            "weights": released[1] if released else None,
        }

    def _schedule(self, shots: int | str) -> dict[str, Any]:
        """How prompts train; nobody knows yet in how many steps where all normal pictures are shown."""
        stage = self.stage
        steps = {"steps": stage.epochs * stage.steps(shots)} if isinstance(shots, int) else {}
        return {"epochs": stage.epochs, "lr": self.method.lr, "batch": stage.batch, **steps}

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """What it is for a category, once prompts are learned from its shots, or with those of `weights`."""
        return self._learned(category, shots) if self.recalled is None else self._with_weights(category, self.recalled)

    def _learned(self, category: str, shots: Iterator[Features]) -> PromptAdInspector:
        tokens: dict[Kind, list[Tensor]] = {kind: [] for kind in self.method.kinds}

        def kept() -> Iterator[Features]:
            for features in shots:
                for kind, each in tokens.items():
                    each.append(self.tokens(features, kind))
                yield features

        memory = PatchMemory(self.tower, kept(), self.method.remembered(self.tower))
        anchors: dict[Kind, Tensor] = {}
        losses: dict[str, list[float]] = {}
        for kind, each in tokens.items():
            prompts = self.begun(category, kind)
            taught = [float(terms["loss"]) for terms in self.lessons(prompts, torch.cat(each))]
            losses[kind] = [*taught[:1], *taught[-1:]]
            with torch.no_grad():
                anchors[kind] = prompts().anchors()  # (2, D)
        return PromptAdInspector(self, memory, anchors, {"first_and_last_loss": losses})

    def _with_weights(self, category: str, weights: Mapping[str, Tensor]) -> PromptAdInspector:
        """Raises NotApplicable for a category that the weights are not of."""
        named = _NAMED.match(self.method.weights.name) if self.method.weights else None
        if named and named["category"] != category:
            raise NotApplicable(f"its weights were learned for {named['category']}, and this is {category}")
        anchors, *patches = (weights[name].to(self.device) for name in ("anchors", "early", "late"))
        parts = self.method.remembered(self.tower)
        shots = Features((), {part: each[None] for part, each in zip(parts, patches, strict=True)})
        memory = PatchMemory(self.tower, [shots], parts)
        return PromptAdInspector(self, memory, dict.fromkeys(self.method.kinds, unit(anchors)), {})

    def begun(self, category: str, kind: Kind) -> CategoryPrompts:
        """The prompts of a category before they learn."""
        name = self.name(category)
        return CategoryPrompts(
            self.text,
            self.method.words(category, name),
            normal=CONTEXTS[kind],
            context=self.method.context,
            learned=LEARNED,
            behind=0 if self.method.place == "before" else self.text.count_tokens(name) - 2,
            seed=int(self.seed),
        ).to(self.device)

    def tokens(self, features: Features, kind: Kind) -> Tensor:
        """The unit tokens of pictures that prompts are compared with: (B, D), or of patches (B, P, D)."""
        tokens = features[token_of(kind, self.tower)]
        return unit(tokens if kind == "cls" else self.image.project(tokens))

    def lessons(self, prompts: CategoryPrompts, tokens: Tensor) -> Iterator[Terms]:
        """Teach prompts by the unit tokens of all shots; the loss of each step by term."""
        method, stage = self.method, self.stage
        optimiser = torch.optim.SGD(prompts.parameters(), lr=method.lr, momentum=_MOMENTUM, weight_decay=_DECAY)
        rates = CosineAnnealingLR(optimiser, max(1, stage.epochs), eta_min=_LAST_RATE)
        for _ in range(stage.epochs):
            for some in torch.split(tokens, stage.batch):
                loss = one_class_loss(prompts(), some, scale=method.scale, reach=method.triplet)
                yield descend(optimiser, loss)
            rates.step()


class PromptAdInspector(Inspector):
    """PromptAD on one category: its anchors, and the patches of its shots."""

    def __init__(
        self,
        detector: PromptAdDetector,
        memory: PatchMemory,
        anchors: Mapping[Kind, Tensor],
        calibrated: Mapping[str, Any],
    ) -> None:
        self.detector, self.memory, self.anchors, self.calibrated = detector, memory, anchors, calibrated

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Scores: text and the largest distance. Maps: text and distance, upsampled and smoothed."""
        visual, scores, maps = self.visual(features), None, None
        if "cls" in self.anchors:
            scores = _combined(self.text(features, "cls"), self.upsampled(visual).amax((1, 2)))
        if "seg" in self.anchors:
            maps = smooth(self.upsampled(_combined(self.text(features, "seg"), visual)), self.detector.method.sigma)
        return Prediction(
            scores,
            maps,
            why_no_scores="" if "cls" in self.anchors else "task=seg learns from patches alone: take both",
            why_no_maps="" if "seg" in self.anchors else "task=cls learns from class tokens alone: take both",
        )

    def visual(self, features: Features) -> Tensor:
        """How far each patch is from those of the shots, between 0 and 1: (B, P)."""
        return torch.stack([self.memory.distances(features, row).mean(0) / 2 for row in range(len(features))])

    def text(self, features: Features, kind: Kind) -> Tensor:
        """The softmax probability of ANOMALOUS of the class token (B,) or of each patch (B, P)."""
        anchors = self.anchors[kind]
        logits = self.detector.tokens(features, kind) @ (anchors[ANOMALOUS] - anchors[NORMAL])
        return torch.sigmoid(self.detector.method.scale * logits)

    def upsampled(self, patches: Tensor) -> Tensor:
        """(B, P) -> (B, H, W)."""
        return pixels(patches, self.detector.tower.frame, align_corners=False)


def _combined(text: Tensor, visual: Tensor) -> Tensor:
    """Half the harmonic mean, 1 / (1 / text + 1 / visual): 0 where either is."""
    return 1 / (1 / text + 1 / visual)
