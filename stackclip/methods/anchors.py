"""The two text anchors of each category, for methods that group no categories."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from stackclip.data.names import CategoryNames
from stackclip.methods.method import Task
from stackclip.ops.given import vector_of
from stackclip.prompts import Ensemble
from stackclip.selectors import MeanOfUnit
from stackclip.types import ANOMALOUS, NORMAL, Sample

__all__ = ["Select", "TextAnchors", "Wording", "two_sides"]

Select = Callable[[Tensor], Tensor]
"""Makes one vector (D,) of the features of one side (N, D)."""

Wording = Callable[[str], tuple[Ensemble, Select]]
"""The ensemble for a published data set, or for one of another name, and what makes one vector of its features."""


def two_sides(features: Tensor, normal: int) -> Tensor:
    """The anchors (2, D) of features (N, D) of which those of the first `normal` phrases are normal, with gradients."""
    select = MeanOfUnit()
    return torch.stack([select(features[:normal]), select(features[normal:])])


class TextAnchors:
    """Unit text features of an ensemble, one for each side, made when a category is first asked for.

    `wording` may differ between published data sets; a sample says of which it is, or else the name of its data set.
    """

    def __init__(self, task: Task, wording: Wording, *, class_names: str) -> None:
        self._encode, self._device, self._wording = task.encode, task.device, wording
        self._name = CategoryNames(task.class_names or class_names)
        self._known: dict[tuple[str, str], Tensor] = {}

    def __call__(self, samples: Iterable[Sample]) -> Tensor:
        """The anchors of each sample's category: (B, 2, D)."""
        return torch.stack([self._of(sample.published or sample.dataset, sample.category) for sample in samples])

    def _of(self, dataset: str, category: str) -> Tensor:
        if (dataset, category) not in self._known:
            ensemble, select = self._wording(dataset)
            name = self._name(category)
            sides = [self._encode(ensemble.phrases(name, side)) for side in (NORMAL, ANOMALOUS)]
            anchors = torch.stack([vector_of(select(features), features) for features in sides])
            self._known[dataset, category] = anchors.to(self._device)
        return self._known[dataset, category]
