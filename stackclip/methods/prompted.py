"""A prompt strategy at work as a method: anchors of its stacks, a head, a learner, maps and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from stackclip.errors import NotApplicable
from stackclip.heads import Head, HeadRecipe, SetQueues
from stackclip.learners import Learner, LearnerRecipe
from stackclip.methods.learned import LearnedScores
from stackclip.methods.maps import LearnedMaps
from stackclip.methods.memory import PatchMemory
from stackclip.methods.method import Detector, Draw, Inspector, Method, Moment, Phase, Stage, Task, Terms, refuse_shots
from stackclip.methods.pieces import LearningPiece, called
from stackclip.methods.pipeline import Pipeline
from stackclip.methods.stacks import StackTexts
from stackclip.ops.maps import LOGIT_SCALE, min_max, unit
from stackclip.prompts import Strategy
from stackclip.registry import heads, learners, selectors
from stackclip.types import ANOMALOUS, CLS, Features, Part, Prediction, TowerSpec

__all__ = ["PromptedDetector", "PromptedMethod"]


class PromptedMethod(Method):
    """A prompt strategy run through the pipeline."""

    def __init__(self, strategy: Strategy, pipeline: Pipeline) -> None:
        self.strategy = strategy
        self.pipeline = pipeline
        self.recipe: HeadRecipe | None = None if pipeline.head == "none" else heads.create(pipeline.head)
        self.learner: LearnerRecipe | None = None if pipeline.learner == "none" else learners.create(pipeline.learner)
        self.select = selectors.create(pipeline.select)
        self.shots: int | Literal["all"] | None = getattr(pipeline, "shots", None)
        self.draw: Draw = getattr(pipeline, "draw", "distinct")

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The parts of the head and of the learner, and the class token; of shots the patches that are remembered."""
        if phase == "calibrate":
            return frozenset()
        patches = tower.taps if self.pipeline.takes_shots and self.recipe and phase != "train" else ()
        if phase == "shots":
            return frozenset(patches)
        return frozenset({CLS, *patches}).union(*(each.needs(tower) for each in (self.recipe, self.learner) if each))

    def check(self, tower: TowerSpec) -> None:
        """Raise WeightsError for `weights` that do not fit the tower."""
        if self.recipe is not None:
            self.pipeline.check_head(self.recipe, tower)

    def begin(self, task: Task) -> PromptedDetector:
        """Stack the categories and make the head."""
        return PromptedDetector(self, task)


class PromptedDetector(Detector):
    """A prompt strategy at work on one task: a head that learns maps, a learner or the anchors for scores."""

    head: Head | None
    learner: Learner | None
    queues: SetQueues | None

    def __init__(self, method: PromptedMethod, task: Task) -> None:
        super().__init__()
        pipeline = method.pipeline
        self.tower = task.tower
        self.texts = StackTexts(method.strategy, method.select, task, class_names=pipeline.class_names)
        if not pipeline.takes_shots:
            refuse_shots(task.shots)
        self.few_shot = bool(task.shots)
        if self.few_shot and method.recipe is None:
            raise NotApplicable("head=none gives no map, and distances to the shots are added to one")
        self._with_map = pipeline.image_score == "text+map"
        if self._with_map and method.recipe is None:
            raise NotApplicable(f"image_score=text+map, but {NO_MAP}")
        self._maps = LearnedMaps(method.recipe, pipeline, method.strategy, self.texts, task) if method.recipe else None
        self.head, self.queues = (self._maps.head, self._maps.queues) if self._maps else (None, None)
        name = called(learners, pipeline.learner) if method.learner else ""
        self._learned = self._begin_learner(method.learner, task, name, pipeline.batch) if method.learner else None
        self.learner = self._learned.learner if self._learned else None
        epochs = max(each.epochs if each else 0 for each in (self._maps, self._learned))
        stage = Stage("prompts", epochs, task.batch_size or pipeline.batch, method.needs(task.tower, "train"))
        self.stages = (stage,) if stage.epochs else ()
        self._facts: dict[str, Any] = {
            **self.texts.facts,
            "class_names": self.texts.class_names,
            "epochs": epochs,
            "learning_rate": self._maps.rate if self._maps else None,
            "head": pipeline.head,
            "weights": self._maps.released if self._maps else None,
            **({"released_positions": pipeline.released_positions} if pipeline.released_positions else {}),
            "selector": pipeline.select,
            "learner": pipeline.learner,
            "learned": self._learned.facts if self._learned else None,
            "image_score": "text and transductive map maximum" if self.few_shot else pipeline.image_score,
        }

    def _begin_learner(self, recipe: LearnerRecipe, task: Task, called: str, batch: int) -> LearnedScores:
        """The learner of the stacked names of all training categories; it steps on the batches of the head."""
        how: dict[str, Any] = {"called": called, "batch": batch, "spare": self.head is not None}
        return LearnedScores(recipe, task, self.texts.lesson, **how)

    @property
    def pieces(self) -> tuple[LearningPiece, ...]:
        """The head and the learner, which do not see each other."""
        return tuple(each for each in (self._maps, self._learned) if each)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Names, stacks and schedules, of what is learned in epochs alone."""
        parts = {"head": self._maps, "learner": self._learned}
        return {
            **self._facts,
            "schedule": {name: each.schedule for name, each in parts.items() if each and each.epochs},
        }

    @facts.setter
    def facts(self, facts: Mapping[str, Any]) -> None:
        self._facts = dict(facts)

    def step(self, features: Features, at: Moment) -> Terms:
        """One Adam step of the head and one of the learner, each for its own number of epochs.

        `loss` is the sum of what both make smaller: `map`, and the learner's terms with its weights.
        """
        if self._maps is None and self._learned is None:
            return super().step(features, at)
        stepped = self._maps.step(features, at) if self._maps else {}
        if self._learned is None:
            return stepped
        terms = {"map": stepped["loss"]} if stepped else {}
        learned = dict(self._learned.step(features, at))
        total = sum(terms.values()) + learned.pop("loss", 0.0)
        return {"loss": total, **terms, **learned} if terms or learned else {}

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """Itself, or with shots what compares with their patch tokens too."""
        return FewShotInspector(self, PatchMemory(self.tower, shots)) if self.few_shot else self

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Image score: the learner's, or else the softmax of 100 cos with the test anchors. Map: the head's.

        Both are weighed over the stacks; a learner has one pair of prompts for all.
        """
        anchors = torch.stack([self.anchors(category) for category in features.categories])  # (B, K, 2, D)
        weights = self._maps.weights(features, anchors) if self._maps else None
        if self._learned is not None:
            scores, why_not = self._learned.scores(features)
        else:
            logits = LOGIT_SCALE * torch.einsum("bd,bksd->bks", unit(features[CLS]), anchors)
            alike = anchors.new_full(anchors.shape[:2], 1 / anchors.shape[1]) if weights is None else weights
            scores, why_not = (alike * logits.softmax(-1)[..., ANOMALOUS]).sum(1), ""
        if self.head is None or weights is None:
            return Prediction(scores, None, why_no_maps=NO_MAP)
        maps = self.head.maps(features, anchors, weights)
        if scores is not None and self._with_map and not self.few_shot:  # with shots, `settle` adds the map
            scores = (scores + maps.amax((1, 2)) / len(self.tower.taps)) / 2
        return Prediction(scores, maps, why_no_scores=why_not)

    def anchors(self, category: str) -> Tensor:
        """The test anchors of a category under every stack: (K, 2, D), unit length."""
        return self.texts.test_anchors(category)

    def training_state(self) -> dict[str, Any]:
        """The optimisers of the head and of the learner, and why that has none."""
        parts = {"head": self._maps, "learner": self._learned}
        return {name: each.training_state() for name, each in parts.items() if each}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take what `training_state` gave."""
        if self._maps:
            self._maps.load_training_state(state["head"])
        if self._learned:
            self._learned.load_training_state(state["learner"])


class FewShotInspector(Inspector):
    """A detector with the patch tokens of one category's shots, whose distances are added to its maps (APRIL-GAN)."""

    def __init__(self, detector: PromptedDetector, memory: PatchMemory) -> None:
        self.detector, self.memory = detector, memory

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """The detector's prediction, with the distances to the shots in its maps."""
        found = self.detector.predict(features)
        return found if found.maps is None else replace(found, maps=found.maps + self.memory.maps(features))

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """The mean of the text score and the min-maxed map maximum (transductive), as released."""
        return scores if peaks is None else (scores + min_max(peaks)) / 2


NO_MAP = (
    "no map: patch tokens of intermediate layers are not aligned with text before a head is trained, "
    "and a map from them is inverted (CLIP-AD, table 7)"
)
