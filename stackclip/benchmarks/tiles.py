"""Methods beside tiles of pictures: each tile is a picture to them, and what they say of all is put together."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import torch
from torch import Tensor

from stackclip.data import Dataset, largest_size
from stackclip.methods import Inspector
from stackclip.ops.blending import Blend
from stackclip.ops.given import prediction_of
from stackclip.ops.tiling import Tiling, tiling_of
from stackclip.types import Features, Prediction, Sample, TowerSpec

__all__ = ["AT_ONCE", "TiledInspector", "in_tiles", "pictures_at_once", "tile_batches", "tiling_for"]

logger = logging.getLogger(__name__)
AT_ONCE = 8  # tiles that a method is given together


class TiledInspector(Inspector):
    """An inspector of tiles, which says of a picture what all its tiles say together.

    Batches hold the parts of pictures in all views of the `tiling`. Each view is predicted as a picture by itself, some
    at once; maps are blended (`stackclip.ops.blending`), and of the scores, and of each of their components, the
    highest, the mean or that of the whole picture counts. What is settled is of whole pictures.
    """

    def __init__(self, inspector: Inspector, tiling: Tiling, tower: TowerSpec) -> None:
        self.inspector, self.tiling, self.tower = inspector, tiling, tower
        self.why_no_graph = "it puts what it says of tiles together, and a graph sees pictures whole"
        self.calibrated = inspector.calibrated

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Scores (B,) and maps (B, H, W) at the size of blended maps; raises what `prediction_of` raises of tiles."""
        found = [self._of_picture(features.rows(row, row + 1)) for row in range(len(features))]
        maps = [each.maps for each in found if each.maps is not None]
        return replace(
            found[0],
            scores=_joined([each.scores for each in found]),
            maps=torch.stack(maps) if maps else None,
            components={name: torch.stack([each.components[name] for each in found]) for name in found[0].components},
        )

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """What the inspector makes of the scores and map maxima of whole pictures."""
        return self.inspector.settle(scores, peaks)

    def _of_picture(self, picture: Features) -> Prediction:
        """What is said of one picture: a score (), components () and a map (H, W)."""
        blend, said, number = Blend(self.tiling, self.tiling.map_side(self.tower.image_size)), list[Prediction](), 0
        for tiles in tile_batches(picture, self.tiling):
            each = prediction_of(self.inspector.predict(tiles), len(tiles), self.tower.image_size)
            for tile in () if each.maps is None else each.maps:
                blend.add(number, tile)
                number += 1
            said.append(replace(each, maps=None))
        scores = [each.scores for each in said if each.scores is not None]
        return replace(
            said[0],
            scores=self._score(torch.cat(scores)) if scores else None,
            maps=blend.map if number else None,
            components={
                name: self._score(torch.cat([each.components[name] for each in said])) for name in said[0].components
            },
        )

    def _score(self, scores: Tensor) -> Tensor:
        """The score () of a picture by those of its views (N,)."""
        if self.tiling.score == "whole":
            return scores[-1]
        return scores.amax() if self.tiling.score == "max" else scores.double().mean().to(torch.float32)


def tile_batches(features: Features, tiling: Tiling) -> Iterator[Features]:
    """Each view of each picture as a picture by itself, under plain names, AT_ONCE together and never of two pictures.

    Its sample is that of the picture with the view behind the id.
    """
    for row, sample in enumerate(features.samples):
        for start in range(0, len(tiling.views), AT_ONCE):
            yield _tiles(features, row, sample, tiling.views[start : start + AT_ONCE])


def in_tiles(stream: Generator[Features], tiling: Tiling) -> Generator[Features]:
    """A stream of pictures as one of tiles."""
    with closing(stream) as pictures:
        for features in pictures:
            yield from tile_batches(features, tiling)


def pictures_at_once(batch: int, tiling: Tiling | None) -> int:
    """How many pictures are read together whose views are to be about a batch; at least one."""
    return batch if tiling is None else max(1, batch // len(tiling.views))


def _tiles(features: Features, row: int, sample: Sample, views: Sequence[str]) -> Features:
    """Some views of a picture."""
    seen = [_seen(features, view) for view in views]
    samples = tuple(replace(sample, id=f"{sample.id}@{view}") if view else sample for view in views)
    return Features(samples, {part: torch.stack([each.parts[part][row] for each in seen]) for part in seen[0].parts})


def _seen(features: Features, view: str) -> Features:
    """The parts of a view under plain names; what is turned in a tile is called as what is turned."""
    found = {}
    for part, each in features.parts.items():
        tile, _, turned = part.view.partition("+")
        own, then = (tile, turned) if tile.startswith("tile") else ("", part.view)
        if own == view:
            found[replace(part, view=then)] = each
    return Features(features.samples, found)


def _joined(scores: Sequence[Tensor | None]) -> Tensor | None:
    there = [each for each in scores if each is not None]
    return torch.stack(there) if there else None


def tiling_for(text: str, datasets: Iterable[Dataset]) -> Tiling:
    """The tiling that was typed, for the tested pictures of data sets; a SIZE is a grid by the largest of them.

    Raises BadOption and UsageError for what is no tiling.
    """
    every = [sample for dataset in datasets for sample in dataset.samples]
    tested = [sample for sample in every if sample.split == "test"] or every
    tiling = tiling_of(text, lambda: largest_size(sample.image for sample in tested))
    if "x" not in text.partition("[")[0]:
        logger.info("tiles %s are %s of each picture, by the largest that is tested", text, tiling.grid)
    return tiling
