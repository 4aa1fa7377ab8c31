"""A head at work under a prompt strategy: what it learns of patch tokens, and how its stacks are weighed."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from stackclip.heads import Head, HeadRecipe, SetQueues
from stackclip.methods.method import Moment, Task, Terms
from stackclip.methods.pieces import Schooling, called
from stackclip.methods.pipeline import Pipeline
from stackclip.methods.schedule import adam, descend, lower_products, schedule_of
from stackclip.methods.stacks import StackTexts
from stackclip.ops.digests import digest_of
from stackclip.prompts import Strategy
from stackclip.registry import heads
from stackclip.types import CLS, MASK, NORMAL, Features

__all__ = ["LearnedMaps"]


class LearnedMaps:
    """The maps of a head, trained by Adam at the pipeline's schedule; `released` is said of weights from elsewhere."""

    def __init__(
        self, recipe: HeadRecipe, pipeline: Pipeline, strategy: Strategy, texts: StackTexts, task: Task
    ) -> None:
        self.recipe, self.texts, self.device = recipe, texts, task.device
        self.schooling, self._task, self._text = Schooling(), task, pipeline.head
        epochs, self.rate = pipeline.schedule(strategy, task.train_on)
        stage = task.stage("head", epochs=epochs, batch=pipeline.batch)
        module = recipe.build(task.tower, len(texts.stacks), seed=task.seed).to(task.device)
        lower_products(module, task)
        self.head, self.queues = cast(Head, module), cast("SetQueues | None", None)
        self._optimiser = adam(module.parameters(), lr=self.rate)
        if len(texts.stacks) > 1 and getattr(recipe, "batches", "mixed") == "own":
            self.queues = SetQueues(len(texts.stacks), stage.batch, recipe.needs(task.tower) | {MASK})
        self.released = pipeline.begin_with(module)
        self.epochs = stage.epochs if self.released is None else 0
        self._schedule = schedule_of(task, stage, lr=self.rate)

    @property
    def schedule(self) -> dict[str, Any]:
        """How it is trained; the steps of sets that have batches of their own are as many as were taken."""
        return self._schedule if self.queues is None else {**self._schedule, "steps": self.queues.steps.tolist()}

    def step(self, features: Features, at: Moment) -> Terms:
        """Adam steps on the focal and dice losses of all layers: one, or one for each batch of a set's own.

        A head whose sets have batches of their own steps each that has a full one, and at the end of an epoch those
        that have pictures left; its loss is there where one stepped. Nothing once the head is through.
        """
        return {} if at.epoch >= self.epochs else self.schooling.step(at, lambda: self._step(features, at))

    def lesson(self) -> Hashable:
        """The head, the stacks of the training categories and what these are called, and the schedule."""
        names = self._task.categories
        anchors = torch.stack([self.texts.training_anchors(name) for name in names])
        stacks = tuple(self.texts.stack_of(name) for name in names)
        return (
            called(heads, self._text),
            len(self.texts.stacks),
            names,
            stacks,
            digest_of(anchors),
            self.rate,
            self.epochs,
        )

    def take(self, other: LearnedMaps) -> None:
        """Become as another whose lesson was the same."""
        for own, of_other in ((self.head, other.head), (self.queues, other.queues)):
            if own is not None:
                cast(nn.Module, own).load_state_dict(cast(nn.Module, of_other).state_dict())
        self.load_training_state(copy.deepcopy(other.training_state()))

    def _step(self, features: Features, at: Moment) -> Terms:
        if self.queues is None:
            return self._descend(features)
        stacks = torch.tensor([self.texts.stack_of(category) for category in features.categories])
        losses = [
            self._descend(batch)["loss"] * len(batch) for batch in self.queues.batches(features, stacks, last=at.last)
        ]
        return {"loss": sum(losses) / len(features)} if losses else {}

    def _descend(self, features: Features) -> Terms:
        """One Adam step; sets without a picture in the batch have no gradient and stay as they are."""
        stacks = torch.tensor([self.texts.stack_of(name) for name in features.categories], device=self.device)
        anchors = torch.stack([self.texts.training_anchors(category) for category in features.categories])
        return descend(self._optimiser, {"loss": self.head.loss(features, anchors, stacks)})

    def weights(self, features: Features, anchors: Tensor) -> Tensor:
        """How much each stack counts for each picture: (B, K). FuzzyCLIP, equation 11."""
        if self.recipe.weighting == "train-prompt":
            return self.head.weights(features, self.texts.training_keys.expand(len(features), -1, -1))
        if self.recipe.weighting == "category":
            text = torch.stack([self.texts.category_text(category) for category in features.categories])
            features = Features(features.samples, {**features.parts, CLS: text})
        return self.head.weights(features, anchors[:, :, NORMAL])

    def training_state(self) -> dict[str, Any]:
        """The optimiser."""
        return self._optimiser.state_dict()

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take what `training_state` gave."""
        self._optimiser.load_state_dict(dict(state))
