"""The text features of a prompt strategy's stacks: what each side of a category is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stackclip.data.names import CategoryNames
from stackclip.errors import NotApplicable, UsageError
from stackclip.learners import LearnerRecipe, Lesson
from stackclip.methods.method import Task
from stackclip.ops.given import explained, stacks_of, vector_of
from stackclip.prompts import CPE, Strategy, joint_subjects, subjects_of
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["StackTexts"]


class StackTexts:
    """The anchors of categories under the stacks that a strategy makes of the training categories, each made once.

    `stacks` are the names of each, `facts` what the strategy explains of them.
    """

    def __init__(self, strategy: Strategy, select: Callable[[Tensor], Tensor], task: Task, *, class_names: str) -> None:
        self.class_names = task.class_names or class_names
        self._strategy, self._select, self._task, self._encode = strategy, select, task, task.encode
        self._name = CategoryNames(self.class_names)
        name_of = {category: self._name(category) for category in task.categories}
        self._names, encode = tuple(dict.fromkeys(name_of.values())), _NamedEncode(task, name_of)
        self.stacks = stacks_of(strategy.stacks(self._names, encode), self._names)
        explain = getattr(strategy, "explain", None)
        self.facts = (
            explained(explain(self._names, encode)) if explain else {"stacks": [list(stack) for stack in self.stacks]}
        )
        self._anchors: dict[str, Tensor] = {}  # (K, 2, D)
        self._own_anchors: dict[str, Tensor] = {}  # (2, D)
        self._texts: dict[str, Tensor] = {}  # (D,)

    def stack_of(self, category: str) -> int:
        """The stack that a training category belongs to."""
        name = self._name(category)
        return next(index for index, stack in enumerate(self.stacks) if name in stack)

    def test_anchors(self, category: str) -> Tensor:
        """The test anchors of a category under every stack: (K, 2, D), unit length."""
        if category not in self._anchors:
            found = [self._anchor(self._name(category), stack, seen=False) for stack in self.stacks]
            self._anchors[category] = torch.stack(found).to(self._task.device)
        return self._anchors[category]

    def training_anchors(self, category: str) -> Tensor:
        """A training category's anchors under its own stack: (2, D)."""
        if category not in self._own_anchors:
            anchors = self._anchor(self._name(category), self.stacks[self.stack_of(category)], seen=True)
            self._own_anchors[category] = anchors.to(self._task.device)
        return self._own_anchors[category]

    @cached_property
    def training_keys(self) -> Tensor:
        """The normal anchor of each stack's own training prompt: (K, D)."""
        anchors = [self._anchor(stack[0], stack, seen=True) for stack in self.stacks]
        return torch.stack(anchors)[:, NORMAL].to(self._task.device)

    def category_text(self, category: str) -> Tensor:
        """The text feature of a category's own name: (D,), unit length."""
        if category not in self._texts:
            vector = self._vector(CPE.phrases(self._name(category), NORMAL))
            self._texts[category] = vector.to(self._task.device)
        return self._texts[category]

    def lesson(self, recipe: LearnerRecipe) -> Lesson:
        """What a learner of the stacked names of all training categories is given.

        Raises NotApplicable without a text tower, UsageError for names that do not fit it.
        """
        text = self._task.text
        if text is None:
            raise NotApplicable(f"{type(recipe).__name__.lower()} learns through the text tower, and there is none")

        def fits(subject: str) -> bool:
            return self._fits(subject) and recipe.fits(text, subject)

        try:
            subjects = joint_subjects(self._strategy, self._names, overflow=recipe.overflow, fits=fits)
        except UsageError as error:
            raise UsageError(f"learner: {error}") from None
        return Lesson(text, subjects[0], self._ensemble(subjects), self._task.seed)

    def _fits(self, subject: str) -> bool:
        return CPE.longest(subject, self._encode.count_tokens) <= self._encode.context_length

    def _anchor(self, name: str, stack: tuple[str, ...], *, seen: bool) -> Tensor:
        """The two anchors of one subject: (2, D)."""
        return self._ensemble(subjects_of(self._strategy, name, stack, seen=seen, fits=self._fits))

    def _ensemble(self, subjects: Sequence[str]) -> Tensor:
        """The two anchors of the phrases of all subjects: (2, D)."""
        sides = (
            [phrase for subject in subjects for phrase in CPE.phrases(subject, side)] for side in (NORMAL, ANOMALOUS)
        )
        return torch.stack([self._vector(phrases) for phrases in sides])

    def _vector(self, phrases: Sequence[str]) -> Tensor:
        """The representative vector of some phrases: (D,)."""
        features = self._encode(phrases)
        return vector_of(self._select(features), features)


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
