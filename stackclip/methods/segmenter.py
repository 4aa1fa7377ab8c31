"""Pictures of one category cut into named parts, by clusters of its shots and words for its parts (CLIP-LAD)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from stackclip.ops import segments
from stackclip.ops.clusters import k_means
from stackclip.ops.maps import on_grid, unit
from stackclip.ops.spread import evenly
from stackclip.prompts import Encode
from stackclip.prompts.parts import PartsList
from stackclip.prompts.phrases import PARTS_TEMPLATES
from stackclip.selectors import MeanOfUnit
from stackclip.sizes import Size
from stackclip.types import Features, Part

__all__ = ["PartAnchors", "PartMask", "RegionSegmenter", "Segmenter", "centres_of"]

_STARTS = 10  # runs of k-means; the best counts
_CLUSTERED = 8  # shots whose patches are clustered, at most: 32768 of them at ViT-L/14@448


@dataclass(frozen=True, slots=True, eq=False)
class PartMask:
    """The parts of a picture: the class of each place (rows, columns), and what the stages before it found.

    Classes are numbered as `names` are, coarse ones as `coarse` are; the number behind the last is the background.
    `regions` (r, c) are clusters, `region_classes` (k,) the coarse class of each, `foreground` (r, c) where parts are
    looked for. `normal` are the histograms (s, n) of pictures that it may be compared with, if any.
    """

    names: tuple[str, ...]
    coarse: tuple[str, ...]
    classes: Tensor
    regions: Tensor
    region_classes: Tensor
    foreground: Tensor
    normal: Tensor | None = None

    @property
    def histogram(self) -> Tensor:
        """How many places are of each class, without the background: (n,)."""
        return segments.histogram(self.classes.flatten(), len(self.names))

    @property
    def pieces(self) -> Sequence[int]:
        """In how many pieces each class lies."""
        return segments.pieces(self.classes, len(self.names))


@dataclass(frozen=True, slots=True, eq=False)
class PartAnchors:
    """Unit text anchors of a parts list: parts first, then the classes of the background, (n + b, D) each."""

    coarse: Tensor
    fine: Tensor
    thresholds: Tensor

    @classmethod
    def of(cls, parts: PartsList, encode: Encode, device: torch.device) -> PartAnchors:
        """Each synonym of a class in 80 templates, unit, mean, unit."""
        background = _encoded(parts.background, encode)
        coarse, fine = _encoded(parts.coarse, encode), _encoded(parts.fine, encode)
        thresholds = torch.tensor([parts.thresholds.get(name, -torch.inf) for name in parts.coarse])
        whole = (torch.cat([coarse, background]), torch.cat([fine, background]), thresholds)
        return cls(*(each.to(device) for each in whole))


def _encoded(words: Mapping[str, tuple[str, ...]], encode: Encode) -> Tensor:
    select, found = MeanOfUnit(), []
    for synonyms in words.values():
        found.append(select(encode([template.format(each) for each in synonyms for template in PARTS_TEMPLATES])))
    return torch.stack(found)


def centres_of(shots: Iterable[Features], shallow: Sequence[Part], count: int, *, grid: Size, seed: int) -> Tensor:
    """The centres (k, F) of the patches of a category's shots; of more than eight, of some evenly spread.

    They are `count`, or as many as there are different patches.
    """
    tokens = [[features[part] for part in shallow] for features in shots]
    pictures = [[each[row] for each in batch] for batch in tokens for row in range(len(batch[0]))]
    points = torch.cat([cluster_tokens(each, grid) for each in evenly(pictures, _CLUSTERED)])
    distinct = len(np.unique(points.cpu().numpy(), axis=0)) if len(points) < _STARTS * count else len(points)
    centres = k_means(points.cpu().numpy(), min(count, distinct), starts=_STARTS, seed=seed).centres
    return torch.from_numpy(centres).to(points)


@dataclass(frozen=True, eq=False)
class RegionSegmenter:
    """Cuts pictures into regions: `shallow` taps are clustered around `centres` (k, F), and no word is asked.

    `grid` is that of the patches; a place is a quarter of one.
    """

    shallow: Sequence[Part]
    centres: Tensor
    grid: Size = field(kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        """What is counted: here the regions, which have but numbers."""
        return tuple(f"region {number + 1}" for number in range(len(self.centres)))

    def masks(self, features: Features) -> list[PartMask]:
        """The parts of each picture."""
        return [self._mask(features, row) for row in range(len(features))]

    def histograms(self, features: Features) -> Tensor:
        """How many places of each picture are of each part: (B, n)."""
        return torch.stack([mask.histogram for mask in self.masks(features)])

    def _mask(self, features: Features, row: int) -> PartMask:
        regions = self._placed(self._regions(features, row))
        counted = regions.new_zeros(len(self.centres))
        return PartMask(self.names, ("counted",), regions, regions, counted, torch.ones_like(regions, dtype=torch.bool))

    def _regions(self, features: Features, row: int) -> Tensor:
        """The region of each place of a picture: (Q,)."""
        taps = [features[part][row] for part in self.shallow]
        return segments.nearest(cluster_tokens(taps, self.grid), self.centres)

    def _placed(self, values: Tensor) -> Tensor:
        """A value for each place (Q,) where it lies: (rows, columns)."""
        return on_grid(values, segments.twice(self.grid))


@dataclass(frozen=True, eq=False)
class Segmenter(RegionSegmenter):
    """Cuts pictures into named parts: the `dense` tokens of regions meet text."""

    parts: PartsList
    anchors: PartAnchors
    dense: Part

    @classmethod
    def fitted(
        cls,
        parts: PartsList,
        anchors: PartAnchors,
        shots: Iterable[Features],
        *,
        shallow: Sequence[Part],
        dense: Part,
        grid: Size,
        seed: int,
    ) -> Segmenter:
        """With the centres of a category's shots."""
        centres = centres_of(shots, shallow, parts.clusters, grid=grid, seed=seed)
        return cls(shallow, centres, parts, anchors, dense, grid=grid)

    @property
    def names(self) -> tuple[str, ...]:
        """What is counted: the fine parts."""
        return tuple(self.parts.fine)

    def _mask(self, features: Features, row: int) -> PartMask:
        tokens, regions = segments.doubled(features[self.dense][row], self.grid), self._regions(features, row)
        means = segments.mean_of_regions(tokens, regions, len(self.centres))
        coarse = segments.classes_of_regions(means, self.anchors.coarse, self.anchors.thresholds)
        last = len(self.parts.coarse)
        foreground = segments.foreground_of(self._placed(coarse[regions]), last)
        if self.parts.fine_by == "region":
            tokens = unit(means)[regions]
        fine = segments.classes_of_places(tokens, self.anchors.fine, foreground.flatten(), len(self.parts.fine))
        placed = self._placed(fine), self._placed(regions)
        return PartMask(self.names, tuple(self.parts.coarse), *placed, coarse, foreground)


def cluster_tokens(taps: Sequence[Tensor], grid: Size) -> Tensor:
    """What is clustered: raw taps (P, C) side by side, on a grid of twice the sides, of length 1: (4P, F)."""
    return segments.doubled(torch.cat(list(taps), dim=-1), grid)
