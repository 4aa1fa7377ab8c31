"""What a method is worth on parts of a category, and what the parts of its scores are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stackclip.benchmarks.saturation import Saturation, anomaly_kinds
from stackclip.errors import BrokenPlugin
from stackclip.metrics import (
    IMAGE_METRICS,
    PIXEL_METRICS,
    SAMPLE_METRICS,
    Measured,
    PixelMetricsByKind,
    image_metrics,
    named_for_kind,
)
from stackclip.ops.regions import Runs
from stackclip.ops.words import agreed, counted
from stackclip.types import ANOMALOUS, GOOD, Row, Sample

__all__ = ["BY_DEFECT", "Breakdown", "component_aurocs", "defects_of", "has_kinds", "image_aurocs", "sample_metrics"]

BY_DEFECT = ("image_AUROC", "image_AP", "pixel_AUROC", "pixel_AUPRO")
"""The metrics that are told of each kind of defect."""
_AUROC = BY_DEFECT[0]

Scores = NDArray[Any]


@dataclass
class Breakdown:
    """What is told of parts of a category: of kinds of defects where there are `kinds`, and of components of scores.

    With a `saturation` the overlap that saturates is measured. `facts` are what a row says of all this.
    """

    kinds: PixelMetricsByKind | None = None
    saturation: Saturation | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    _components: dict[str, list[Tensor]] = field(default_factory=dict)
    _batches: int = 0

    @property
    def components(self) -> dict[str, Tensor]:
        """The scores (N,) by name that the method makes its own of, of the pictures so far."""
        return {name: torch.cat(scores) for name, scores in self._components.items()}

    def take_components(self, components: Mapping[str, Tensor]) -> None:
        """Take those of a batch (B,); raises BrokenPlugin where they have other names than those before."""
        if self._batches and components.keys() != self._components.keys():
            named = [", ".join(sorted(each)) or "none" for each in (components, self._components)]
            raise BrokenPlugin(f"its predict() gave the components {named[0]} after {named[1]}; wanted the same ones")
        self._batches += 1
        for name, scores in components.items():
            self._components.setdefault(name, []).append(scores)

    def take_map(self, sample: Sample, scores: Scores, runs: Runs) -> None:
        """Take the map (H, W) of a picture and the labelled regions (R, 3) of its mask."""
        if self.kinds:
            self.kinds.add(sample.defect, scores, runs)
        if self.saturation:
            self.saturation.add(sample, scores)

    def measure(
        self, samples: Sequence[Sample], scores: Scores | None, why_no_scores: str, why_no_maps: str
    ) -> Measured:
        """The metrics of kinds of anomalies that rows have beside those of all, from scores (N,); keeps the `facts`."""
        found = [image_aurocs(samples, scores, why_no_scores), sample_metrics(samples, scores, why_no_scores)]
        if self.saturation:
            overlap = self.saturation.undefined(why_no_maps) if why_no_maps else self.saturation.compute()
            found.append(overlap)
            self.facts["saturation"] = overlap.how
        if self.kinds:
            pixels = {} if why_no_maps else self.kinds.compute()
            image = {kind: _of_kind(kind, samples, scores, why_no_scores) for kind in defects_of(samples)}
            self.facts["by_defect"] = {
                kind: _fact(kind, samples, image[kind], pixels.get(kind), why_no_maps) for kind in image
            }
        if self._components:
            of_parts = {name: scores.numpy() for name, scores in self.components.items()}
            self.facts["components"] = component_aurocs(of_parts, samples)
        return Measured(
            {name: value for each in found for name, value in each.values.items()},
            {name: why for each in found for name, why in each.undefined.items()},
        )


def defects_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The kinds of defects of a category, in order."""
    return tuple(dict.fromkeys(sample.defect for sample in samples if sample.label == ANOMALOUS))


def has_kinds(row: Row) -> bool:
    """Whether a row says what the method is worth on each kind of defect, of which there may be none."""
    return "by_defect" in row.facts


def image_aurocs(samples: Sequence[Sample], scores: Scores | None, why_not: str = "") -> Measured:
    """The image AUROC of each kind of anomaly and all good pictures, where a category tells kinds as MVTec-LOCO does.

    `scores` (N,) are those of the pictures; `why_not` says why there are none.
    """
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for kind in anomaly_kinds(samples):
        found, name = _of_kind(f"{kind}_anomalies", samples, scores, why_not), named_for_kind(_AUROC, kind)
        values |= {name: found.values[_AUROC]} if _AUROC in found.values else {}
        undefined |= {name: found.undefined[_AUROC]} if _AUROC in found.undefined else {}
    return Measured(values, undefined)


def sample_metrics(samples: Sequence[Sample], scores: Scores | None, why_not: str = "") -> Measured:
    """The image metrics of objects that are seen in several views; none where no picture is a view.

    An object scores as the highest of its views, (N,) in `scores`, and is anomalous if one of them is; `why_not` says
    why there are none. The sample-level metrics of Real-IAD (Wang et al., CVPR 2024).
    """
    if not any(sample.group for sample in samples):
        return Measured({}, {})
    if scores is None:
        return Measured({}, dict.fromkeys(SAMPLE_METRICS, why_not))
    names = [f"group {sample.group}" if sample.group else f"id {sample.id}" for sample in samples]
    _, places = np.unique(names, return_inverse=True)
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    labels = np.array([sample.label for sample in samples])
    tops, anomalous = (np.maximum.reduceat(each[order], starts) for each in (scores, labels))
    found, own = image_metrics(tops, anomalous), dict(zip(IMAGE_METRICS, SAMPLE_METRICS, strict=True))
    return Measured(
        {own[name]: value for name, value in found.values.items()},
        {own[name]: why.replace("picture", "object") for name, why in found.undefined.items()},
    )


def component_aurocs(components: Mapping[str, Scores], samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """The image AUROC of each part of a method's scores (N,), and by kind where the category tells kinds apart."""
    labels = [sample.label for sample in samples]
    found: dict[str, dict[str, float]] = {}
    for name, scores in components.items():
        whole = image_metrics(scores, labels).values
        found[name] = {each: whole[each] for each in (_AUROC,) if each in whole}
        found[name] |= image_aurocs(samples, scores).values
    return found


def _of_kind(kind: str, samples: Sequence[Sample], scores: Scores | None, why_not: str) -> Measured:
    """The image metrics of a kind of defect and all good pictures."""
    if scores is None:
        return Measured({}, dict.fromkeys(IMAGE_METRICS, why_not))
    chosen = np.array([sample.defect in (kind, GOOD) for sample in samples])
    labels = np.array([sample.label for sample in samples])
    return image_metrics(scores[chosen], labels[chosen])


def _fact(
    kind: str, samples: Sequence[Sample], image: Measured, pixels: Measured | None, why_not: str
) -> dict[str, Any]:
    """What a row says of a kind of defect: how many pictures show it, its metrics, and why it lacks others."""
    own = [sample for sample in samples if sample.defect == kind]
    without = sum(sample.mask is None for sample in own)
    if without or pixels is None:
        why_not = why_not or f"{counted(without, 'defective picture')} {agreed('have', without)} no mask"
        pixels = Measured({}, dict.fromkeys(PIXEL_METRICS, why_not))
    values, undefined = {**image.values, **pixels.values}, {**image.undefined, **pixels.undefined}
    return {
        "pictures": len(own),
        "metrics": {name: values[name] for name in BY_DEFECT if name in values},
        "undefined": {name: undefined[name] for name in BY_DEFECT if name in undefined},
        "form": pixels.form,
        "bounds": {name: bound for name, bound in pixels.bounds.items() if name in BY_DEFECT},
    }
