"""The two text anchors of each category, for methods that group no categories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from stackclip.data.names import CategoryNames
from stackclip.methods.method import Task
from stackclip.prompts import Ensemble
from stackclip.types import ANOMALOUS, NORMAL

__all__ = ["TextAnchors"]

Select = Callable[[Tensor], Tensor]


class TextAnchors:
    """Unit text features of an ensemble, one for each side, made when a category is first asked for.

    `select` gives for a category what turns the features of one side (N, D) into one vector (D,).
    """

    def __init__(self, task: Task, ensemble: Ensemble, select: Callable[[str], Select], *, class_names: str) -> None:
        self._task, self._ensemble, self._select = task, ensemble, select
        self._name = CategoryNames(task.class_names or class_names)
        self._known: dict[str, Tensor] = {}

    def __call__(self, categories: Iterable[str]) -> Tensor:
        """The anchors of each: (B, 2, D)."""
        return torch.stack([self._of(category) for category in categories])

    def _of(self, category: str) -> Tensor:
        if category not in self._known:
            sides = [
                self._select(category)(self._task.encode(self._phrases(category, side))) for side in (NORMAL, ANOMALOUS)
            ]
            self._known[category] = torch.stack(sides).to(self._task.device)
        return self._known[category]

    def _phrases(self, category: str, side: int) -> Sequence[str]:
        return self._ensemble.phrases(self._name(category), side)
