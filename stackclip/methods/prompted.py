"""The pipeline that makes a method of a prompt strategy: groups, anchors, head, training, maps and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from stackclip.data.names import CategoryNames
from stackclip.errors import NotApplicable, UsageError
from stackclip.heads import Head, HeadRecipe, SetQueues
from stackclip.learners import Learner, LearnerRecipe, Lesson
from stackclip.methods.learned import LearnedScores
from stackclip.methods.memory import PatchMemory
from stackclip.methods.method import BETAS, Draw, Task, check_schedule, descend, refuse_shots, schedule_of
from stackclip.ops.given import epochs_of, explained, stacks_of, vector_of
from stackclip.ops.maps import LOGIT_SCALE, min_max, unit
from stackclip.prompts import CPE, Encode, Strategy, joint_subjects, subjects_of
from stackclip.registry import Component, From, Option, Spec, bind, heads, learners, options_of, prompts, selectors
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, Prediction, TowerSpec

__all__ = ["Composition", "Pipeline", "PromptedDetector"]


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """How a prompt strategy is run. Each field is an option of every prompt strategy's name.

    `head` is a head with options of its own (`efa[temperature=4]`), or `none`: no maps. `learner` is what learns to
    score pictures (`rpl[context=8]`), or `none`: the prompt ensemble scores them, without training. `image_score` is
    that text score, or its mean with the highest point of the map (text+map). `select` turns an ensemble into one
    vector. `class_names` says what categories are called: raw, spaced, natural or a JSON file. `epochs` and `lr` are
    the head's: the strategy's and the paper's unless given.
    """

    head: Annotated[str, From(heads, {"none": ()})] = "linear"
    learner: Annotated[str, From(learners, {"none": ()})] = "none"
    image_score: Literal["text", "text+map"] = "text"
    select: Annotated[str, From(selectors)] = "mean-of-unit"
    class_names: str = "spaced"
    epochs: int | None = None
    lr: float | None = None

    takes_shots: ClassVar[bool] = False
    released_positions: ClassVar[str] = ""  # how the method's own code resizes them, where there is one

    def __post_init__(self) -> None:
        """Raise what wrong class names raise, and BadOption for a schedule that none can follow."""
        CategoryNames(self.class_names)
        check_schedule(self.epochs, self.lr)

    def schedule(self, strategy: Strategy, train_on: tuple[str, ...]) -> tuple[int, float]:
        """Epochs and learning rate. FuzzyCLIP, section 3.1: 1e-4 when training on MVTec-AD, else 1e-3."""
        epochs = epochs_of(getattr(strategy, "epochs", 2)) if self.epochs is None else self.epochs
        rate = (1e-4 if "mvtec" in train_on else 1e-3) if self.lr is None else self.lr
        return epochs, rate

    def begin_with(self, head: nn.Module) -> Mapping[str, Any] | None:
        """Give a new head weights that were trained elsewhere, and return what its rows say of them; or neither."""
        return None

    def check_head(self, recipe: HeadRecipe, tower: TowerSpec) -> None:
        """Raise WeightsError for weights that were trained elsewhere and do not fit this head on this tower."""


class Composition:
    """A named method: a prompt strategy, and what it changes in the pipeline's and the strategy's defaults.

    It is a factory as the registry wants one: its `options` are the strategy's and the pipeline's together.
    """

    def __init__(self, strategy: str, doc: str, *, pipeline: type[Pipeline] = Pipeline, **defaults: object) -> None:
        self.strategy = strategy
        self.pipeline = pipeline
        self.defaults = defaults
        self.__doc__ = doc

    @cached_property
    def component(self) -> Component:
        """The prompt strategy."""
        return prompts.find(self.strategy)

    @property
    def options(self) -> tuple[Option, ...]:
        """The strategy's options, then the pipeline's, with this method's defaults."""
        every = {option.name: option for option in (*self.component.options, *options_of(self.pipeline))}
        return tuple(
            Option(name, option.type, self.defaults.get(name, option.default)) for name, option in every.items()
        )

    def __call__(self, **values: Any) -> PromptedMethod:
        """Make the method; `values` are options that were typed and checked."""
        values = {**self.defaults, **values}
        of_pipeline = {field.name for field in fields(self.pipeline)}
        return PromptedMethod(
            self.component.factory(**{name: value for name, value in values.items() if name not in of_pipeline}),
            self.pipeline(**{name: value for name, value in values.items() if name in of_pipeline}),
        )

    def create(self, spec: Spec) -> PromptedMethod:
        """Make the method with the options of `spec`, typed and checked."""
        return self(**bind(spec.name, self.options, dict(spec.options)))


class PromptedMethod:
    """A prompt strategy run through the pipeline."""

    def __init__(self, strategy: Strategy, pipeline: Pipeline) -> None:
        self.strategy = strategy
        self.pipeline = pipeline
        self.recipe: HeadRecipe | None = None if pipeline.head == "none" else heads.create(pipeline.head)
        self.learner: LearnerRecipe | None = None if pipeline.learner == "none" else learners.create(pipeline.learner)
        self.select = selectors.create(pipeline.select)
        self.shots: int | None = getattr(pipeline, "shots", None)
        self.draw: Draw = getattr(pipeline, "draw", "distinct")

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The parts of the head and of the learner, and the class token.

        Raises WeightsError for `weights` that do not fit the tower, before anything is encoded for them.
        """
        if self.recipe is not None:
            self.pipeline.check_head(self.recipe, tower)
        return frozenset({CLS}).union(*(each.needs(tower) for each in (self.recipe, self.learner) if each))

    def begin(self, task: Task) -> PromptedDetector:
        """Group the categories and make the head."""
        return PromptedDetector(self, task)


class PromptedDetector(nn.Module):
    """A prompt strategy at work on one task."""

    head: Head | None
    learner: Learner | None
    queues: SetQueues | None

    def __init__(self, method: PromptedMethod, task: Task) -> None:
        super().__init__()
        pipeline = method.pipeline
        self.strategy, self.select, self.recipe = method.strategy, method.select, method.recipe
        self.tower, self.encode, self.device = task.tower, task.encode, task.device
        self.class_names = task.class_names or pipeline.class_names
        self._name = CategoryNames(self.class_names)
        name_of = {category: self._name(category) for category in task.categories}
        names, encode = tuple(dict.fromkeys(name_of.values())), _NamedEncode(task, name_of)
        self._names = names
        self.groups = stacks_of(self.strategy.groups(names, encode), names)
        self._anchors: dict[str, Tensor] = {}  # (K, 2, D)
        self._own_anchors: dict[str, Tensor] = {}  # (2, D)
        self._texts: dict[str, Tensor] = {}  # (D,)
        epochs, rate = pipeline.schedule(self.strategy, task.train_on)
        if not pipeline.takes_shots:
            refuse_shots(task.shots)
        self.memory = PatchMemory(task.tower) if task.shots else None
        self._with_map = pipeline.image_score == "text+map"
        if self._with_map and self.recipe is None:
            raise NotApplicable(f"image_score=text+map, but {NO_MAP}")
        self._pictures, self._seen = task.pictures, 0
        self._head_epochs = 0
        self.head = self.learner = self.queues = released = None
        if self.recipe is not None:
            self.head = cast(Head, self.recipe.build(task.tower, len(self.groups), seed=task.seed).to(task.device))
            self._head_epochs = epochs if task.epochs is None else task.epochs
            self.optimiser = torch.optim.Adam(cast(nn.Module, self.head).parameters(), lr=rate, betas=BETAS)
            if len(self.groups) > 1 and getattr(self.recipe, "batches", "mixed") == "own":
                self.queues = SetQueues(len(self.groups), task.batch_size, self.recipe.needs(task.tower) | {MASK})
            if (released := pipeline.begin_with(cast(nn.Module, self.head))) is not None:
                self._head_epochs = 0
        self._learned: LearnedScores | None = None
        if (wanted := method.learner) is not None:
            build = partial(self._begin_learner, wanted, task)
            self._learned = LearnedScores(wanted, task, build, spare=self.head is not None)
            self.learner = self._learned.learner
        self.epochs = max(self._head_epochs, self._learned.epochs if self._learned else 0)
        explain = getattr(self.strategy, "explain", None)
        self._schedule: dict[str, dict[str, Any]] = {}
        if self._head_epochs:
            self._schedule["head"] = schedule_of(task, epochs=self._head_epochs, lr=rate)
        if self._learned and self._learned.epochs:
            self._schedule["learner"] = self._learned.schedule
        stacks = explained(explain(names, encode)) if explain else {"stacks": [list(g) for g in self.groups]}
        self._facts: dict[str, Any] = {
            **stacks,
            "class_names": self.class_names,
            "epochs": self.epochs,
            "learning_rate": rate if self.head else None,
            "head": pipeline.head,
            "weights": released,
            **({"released_positions": pipeline.released_positions} if pipeline.released_positions else {}),
            "selector": pipeline.select,
            "learner": pipeline.learner,
            "learned": self._learned.facts if self._learned else None,
            "image_score": "text and transductive map maximum" if self.memory else pipeline.image_score,
        }

    @property
    def facts(self) -> Mapping[str, Any]:
        """Names, stacks and schedules; the steps of sets that have batches of their own are as many as were taken."""
        schedule = self._schedule
        if self.queues is not None and self._head_epochs:
            schedule = {**schedule, "head": {**schedule["head"], "steps": self.queues.steps.tolist()}}
        return {**self._facts, "schedule": schedule}

    def step(self, features: Features) -> Mapping[str, float]:
        """One Adam step of the head and one of the learner, each for its own number of epochs.

        `loss` is the sum of what both make smaller: `map`, and the learner's terms with its weights. A head whose sets
        have batches of their own steps each that has a full one, and at the end of an epoch those that have pictures
        left; its loss is there where one stepped.
        """
        if self.head is None and self._learned is None:
            raise NotApplicable("without a head or a learner there is nothing to train")
        epoch = self._seen // self._pictures if self._pictures else 0
        self._seen += len(features)
        last = self._seen % self._pictures == 0 if self._pictures else True
        if self._learned is None:
            return self._step_head(features, last=last)
        stepped = self._step_head(features, last=last) if epoch < self._head_epochs else {}
        terms = {"map": stepped["loss"]} if stepped else {}
        learned = self._learned.step(features, epoch)
        total = sum(terms.values()) + learned.pop("loss", 0.0)
        return {"loss": total, **terms, **learned} if terms or learned else {}

    def _step_head(self, features: Features, *, last: bool) -> dict[str, float]:
        """Adam steps on the focal and dice losses of all layers: one, or one for each batch of a set's own."""
        if self.queues is None:
            return self._descend_head(features)
        stacks = torch.tensor([self._stack_of(category) for category in features.categories])
        losses = [
            self._descend_head(batch)["loss"] * len(batch) for batch in self.queues.batches(features, stacks, last=last)
        ]
        return {"loss": sum(losses) / len(features)} if losses else {}

    def _descend_head(self, features: Features) -> dict[str, float]:
        """One Adam step; sets without a picture in the batch have no gradient and stay as they are."""
        assert self.head is not None
        stacks = torch.tensor([self._stack_of(category) for category in features.categories], device=self.device)
        anchors = torch.stack([self._training_anchors(category) for category in features.categories])
        return descend(self.optimiser, {"loss": self.head.loss(features, anchors, stacks)})

    def remember(self, category: str, features: Features) -> None:
        """Keep the patch tokens of the shots."""
        if self.memory is None:
            raise NotApplicable("it is zero-shot and learns nothing from shots")
        self.memory.remember(category, features)

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
        if scores is not None and self._with_map and self.memory is None:  # with shots, `settle` adds the map
            scores = (scores + maps.amax((1, 2)) / len(self.tower.taps)) / 2
        if self.memory is not None:
            maps = maps + self.memory.maps(features)
        return Prediction(scores, maps, why_no_scores=why_not)

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """Few-shot: the mean of the text score and the min-maxed map maximum (transductive), as released."""
        if self.memory is None or peaks is None:
            return scores
        return (scores + min_max(peaks)) / 2

    def anchors(self, category: str) -> Tensor:
        """The test anchors of a category under every stack: (K, 2, D), unit length."""
        if category not in self._anchors:
            found = [self._anchor(self._name(category), group, seen=False) for group in self.groups]
            self._anchors[category] = torch.stack(found).to(self.device)
        return self._anchors[category]

    def _anchor(self, name: str, group: tuple[str, ...], *, seen: bool) -> Tensor:
        """The two anchors of one subject: (2, D)."""

        def fits(subject: str) -> bool:
            return CPE.longest(subject, self.encode.count_tokens) <= self.encode.context_length

        return self._ensemble(subjects_of(self.strategy, name, group, seen=seen, fits=fits))

    def _begin_learner(self, recipe: LearnerRecipe, task: Task) -> Learner:
        """The learner of the stacked names of all training categories."""
        text = task.text
        if text is None:
            raise NotApplicable(f"{type(recipe).__name__.lower()} learns through the text tower, and there is none")

        def fits(subject: str) -> bool:
            return CPE.longest(subject, self.encode.count_tokens) <= self.encode.context_length and recipe.fits(
                text, subject
            )

        try:
            subjects = joint_subjects(self.strategy, self._names, overflow=recipe.overflow, fits=fits)
        except UsageError as error:
            raise UsageError(f"learner: {error}") from None
        lesson = Lesson(text, subjects[0], self._ensemble(subjects), task.seed)
        return cast(Learner, recipe.build(lesson).to(task.device))

    def _ensemble(self, subjects: Sequence[str]) -> Tensor:
        """The two anchors of the phrases of all subjects: (2, D)."""
        sides = (
            [phrase for subject in subjects for phrase in CPE.phrases(subject, side)] for side in (NORMAL, ANOMALOUS)
        )
        return torch.stack([self._vector(phrases) for phrases in sides])

    def _vector(self, phrases: Sequence[str]) -> Tensor:
        """The representative vector of some phrases: (D,)."""
        features = self.encode(phrases)
        return vector_of(self.select(features), features)

    def _training_anchors(self, category: str) -> Tensor:
        """A training category's anchors under its own stack: (2, D)."""
        if category not in self._own_anchors:
            stack = self.groups[self._stack_of(category)]
            self._own_anchors[category] = self._anchor(self._name(category), stack, seen=True).to(self.device)
        return self._own_anchors[category]

    def _weights(self, features: Features, anchors: Tensor) -> Tensor:
        """How much each stack counts for each picture: (B, K). FuzzyCLIP, equation 11."""
        if self.head is None or self.recipe is None:
            return anchors.new_full(anchors.shape[:2], 1 / anchors.shape[1])
        if self.recipe.weighting == "train-prompt":
            return self.head.weights(features, self._training_keys.expand(len(features), -1, -1))
        if self.recipe.weighting == "category":
            text = torch.stack([self._category_text(category) for category in features.categories])
            features = Features(features.samples, {**features.parts, CLS: text})
        return self.head.weights(features, anchors[:, :, NORMAL])

    @cached_property
    def _training_keys(self) -> Tensor:
        """The normal anchor of each stack's own training prompt: (K, D)."""
        anchors = [self._anchor(group[0], group, seen=True) for group in self.groups]
        return torch.stack(anchors)[:, NORMAL].to(self.device)

    def _category_text(self, category: str) -> Tensor:
        """The text feature of a category's own name: (D,), unit length."""
        if category not in self._texts:
            vector = self._vector(CPE.phrases(self._name(category), NORMAL))
            self._texts[category] = vector.to(self.device)
        return self._texts[category]

    def _stack_of(self, category: str) -> int:
        name = self._name(category)
        return next(index for index, group in enumerate(self.groups) if name in group)


NO_MAP = (
    "no map: patch tokens of intermediate layers are not aligned with text before a head is trained, "
    "and a map from them is inverted (CLIP-AD, table 7)"
)


@dataclass(frozen=True, slots=True)
class _NamedEncode:
    """The tower's text side, with categories under the names that the method gives them."""

    task: Task
    name_of: Mapping[str, str]

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        return self.task.encode(phrases)

    @property
    def context_length(self) -> int:
        return self.task.encode.context_length

    def count_tokens(self, phrase: str) -> int:
        return self.task.encode.count_tokens(phrase)

    def class_means(self, categories: Sequence[str]) -> Tensor:
        means = {category: self.task.encode.class_means([category])[0] for category in self.name_of}
        of_name = [
            torch.stack([means[category] for category, name in self.name_of.items() if name == wanted]).mean(0)
            for wanted in categories
        ]
        return torch.stack(of_name)


_: type[Encode] = _NamedEncode
