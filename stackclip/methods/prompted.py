"""A prompt strategy at work as a method: anchors of its stacks, a head, a learner, maps and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor

from stackclip.errors import NotApplicable
from stackclip.heads import Head, HeadRecipe, SetQueues
from stackclip.learners import Learner, LearnerRecipe
from stackclip.methods.learned import LearnedScores
from stackclip.methods.memory import PatchMemory
from stackclip.methods.method import Detector, Draw, Inspector, Method, Moment, Phase, Task, refuse_shots
from stackclip.methods.pipeline import Pipeline
from stackclip.methods.schedule import BETAS, descend, schedule_of
from stackclip.methods.stacks import StackTexts
from stackclip.ops.maps import LOGIT_SCALE, min_max, unit
from stackclip.prompts import Strategy
from stackclip.registry import heads, learners, selectors
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, Prediction, TowerSpec

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
        self.recipe, self.tower, self.device = method.recipe, task.tower, task.device
        self.texts = StackTexts(method.strategy, method.select, task, class_names=pipeline.class_names)
        if not pipeline.takes_shots:
            refuse_shots(task.shots)
        self.few_shot = bool(task.shots)
        if self.few_shot and self.recipe is None:
            raise NotApplicable("head=none gives no map, and distances to the shots are added to one")
        self._with_map = pipeline.image_score == "text+map"
        if self._with_map and self.recipe is None:
            raise NotApplicable(f"image_score=text+map, but {NO_MAP}")
        self._schedule: dict[str, dict[str, Any]] = {}
        self.head = self.learner = self.queues = None
        rate, released = self._begin_head(method, task) if self.recipe else (None, None)
        self._learned = self._begin_learner(method.learner, task) if method.learner else None
        self._facts: dict[str, Any] = {
            **self.texts.facts,
            "class_names": self.texts.class_names,
            "epochs": max((stage.epochs for stage in self.stages), default=0),
            "learning_rate": rate,
            "head": pipeline.head,
            "weights": released,
            **({"released_positions": pipeline.released_positions} if pipeline.released_positions else {}),
            "selector": pipeline.select,
            "learner": pipeline.learner,
            "learned": self._learned.facts if self._learned else None,
            "image_score": "text and transductive map maximum" if self.few_shot else pipeline.image_score,
        }

    def _begin_head(self, method: PromptedMethod, task: Task) -> tuple[float, Mapping[str, Any] | None]:
        """Make the head and its optimiser: its rate, and what is said of weights that were trained elsewhere."""
        recipe, pipeline = cast(HeadRecipe, method.recipe), method.pipeline
        epochs, rate = pipeline.schedule(method.strategy, task.train_on)
        stage = task.stage("head", epochs=epochs, batch=pipeline.batch, parts=recipe.needs(task.tower))
        module = recipe.build(task.tower, len(self.texts.stacks), seed=task.seed).to(task.device)
        self.head = cast(Head, module)
        self.optimiser = torch.optim.Adam(module.parameters(), lr=rate, betas=BETAS)
        if len(self.texts.stacks) > 1 and getattr(recipe, "batches", "mixed") == "own":
            self.queues = SetQueues(len(self.texts.stacks), stage.batch, recipe.needs(task.tower) | {MASK})
        released = pipeline.begin_with(module)
        if released is None and stage.epochs:
            self.stages = (stage,)
            self._schedule["head"] = schedule_of(task, stage, lr=rate)
        return rate, released

    def _begin_learner(self, recipe: LearnerRecipe, task: Task) -> LearnedScores:
        """Make the learner of the stacked names of all training categories."""
        learned = LearnedScores(recipe, task, self.texts.lesson, spare=self.head is not None)
        self.learner = learned.learner
        if learned.stage and learned.stage.epochs:
            self.stages = (*self.stages, learned.stage)
            self._schedule["learner"] = learned.schedule
        return learned

    @property
    def facts(self) -> Mapping[str, Any]:
        """Names, stacks and schedules; the steps of sets that have batches of their own are as many as were taken."""
        schedule = self._schedule
        if self.queues is not None and "head" in schedule:
            schedule = {**schedule, "head": {**schedule["head"], "steps": self.queues.steps.tolist()}}
        return {**self._facts, "schedule": schedule}

    @facts.setter
    def facts(self, facts: Mapping[str, Any]) -> None:
        self._facts = dict(facts)

    def step(self, features: Features, at: Moment) -> Mapping[str, float]:
        """One Adam step of the head in its stage, or of the learner in its own: the loss by term.

        A head whose sets have batches of their own steps each that has a full one, and at the end of an epoch those
        that have pictures left; its loss is there where one stepped.
        """
        if self._learned is not None and at.stage == self._learned.stage:
            return self._learned.step(features, at)
        if self.head is None:
            return super().step(features, at)
        if self.queues is None:
            return self._descend(features)
        stacks = torch.tensor([self.texts.stack_of(category) for category in features.categories])
        losses = [
            self._descend(batch)["loss"] * len(batch) for batch in self.queues.batches(features, stacks, last=at.last)
        ]
        return {"loss": sum(losses) / len(features)} if losses else {}

    def _descend(self, features: Features) -> dict[str, float]:
        """One Adam step on the focal and dice losses of all layers; sets without a picture stay as they are."""
        assert self.head is not None
        stacks = torch.tensor([self.texts.stack_of(name) for name in features.categories], device=self.device)
        anchors = torch.stack([self.texts.training_anchors(category) for category in features.categories])
        return descend(self.optimiser, {"loss": self.head.loss(features, anchors, stacks)})

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """Itself, or with shots what compares with their patch tokens too."""
        return FewShotInspector(self, PatchMemory(self.tower, shots)) if self.few_shot else self

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Image score: the learner's, or else the softmax of 100 cos with the test anchors. Map: the head's.

        Both are weighed over the stacks; a learner has one pair of prompts for all.
        """
        anchors = torch.stack([self.anchors(category) for category in features.categories])  # (B, K, 2, D)
        weights = self._weights(features, anchors)
        if self._learned is not None:
            scores, why_not = self._learned.scores(features)
        else:
            logits = LOGIT_SCALE * torch.einsum("bd,bksd->bks", unit(features[CLS]), anchors)
            scores, why_not = (weights * logits.softmax(-1)[..., ANOMALOUS]).sum(1), ""
        if self.head is None:
            return Prediction(scores, None, why_no_maps=NO_MAP)
        maps = self.head.maps(features, anchors, weights)
        if scores is not None and self._with_map and not self.few_shot:  # with shots, `settle` adds the map
            scores = (scores + maps.amax((1, 2)) / len(self.tower.taps)) / 2
        return Prediction(scores, maps, why_no_scores=why_not)

    def anchors(self, category: str) -> Tensor:
        """The test anchors of a category under every stack: (K, 2, D), unit length."""
        return self.texts.test_anchors(category)

    def _weights(self, features: Features, anchors: Tensor) -> Tensor:
        """How much each stack counts for each picture: (B, K). FuzzyCLIP, equation 11."""
        if self.head is None or self.recipe is None:
            return anchors.new_full(anchors.shape[:2], 1 / anchors.shape[1])
        if self.recipe.weighting == "train-prompt":
            return self.head.weights(features, self.texts.training_keys.expand(len(features), -1, -1))
        if self.recipe.weighting == "category":
            text = torch.stack([self.texts.category_text(category) for category in features.categories])
            features = Features(features.samples, {**features.parts, CLS: text})
        return self.head.weights(features, anchors[:, :, NORMAL])

    def training_state(self) -> dict[str, Any]:
        """The optimisers of the head and of the learner, and why that has none."""
        learned = {"learner": self._learned.training_state()} if self._learned else {}
        return {"head": super().training_state(), **learned}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take what `training_state` gave."""
        super().load_training_state(state["head"])
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
