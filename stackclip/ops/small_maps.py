"""Maps small enough to be kept of every picture: what a person needs to see where a method looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stackclip.ops.regions import Runs
from stackclip.sizes import Side, size_of

__all__ = ["SMALL_SIDE", "Looked", "SmallMaps", "small_mask"]

SMALL_SIDE = 64
"""The side of small maps and masks in pixels."""
_TOP = 255  # the highest level


@dataclass
class SmallMaps:
    """The maps of pictures in 256 levels, `low` standing for level 0 and `high` for level 255 of each picture alone.

    A small pixel has the highest score of those that it stands for, so that no peak is lost: `high` is the maximum of
    the whole map, and a level is at most 1/510 of the picture's range away from its score.
    """

    levels: list[NDArray[np.uint8]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, maps: Tensor) -> None:
        """Take the finite maps (B, H, W) of a batch."""
        if not len(maps):
            return
        whole = maps.detach() if maps.dtype in (torch.float32, torch.float64) else maps.detach().to(torch.float32)
        small = torch.stack([_highest(each) for each in whole]).cpu().to(torch.float64)
        low, high = small.amin((1, 2)), small.amax((1, 2))
        range_ = torch.where(high > low, high - low, 1.0)
        levels = (_TOP * ((small - low[:, None, None]) / range_[:, None, None])).round()
        self.levels.append(levels.to(torch.uint8).numpy())
        self.low += low.tolist()
        self.high += high.tolist()

    def all_levels(self) -> NDArray[np.uint8]:
        """The levels (N, 64, 64) of all maps."""
        return np.concatenate(self.levels) if self.levels else np.empty((0, SMALL_SIDE, SMALL_SIDE), np.uint8)


@dataclass
class Looked:
    """Where a method looked in pictures of a `side` or size, one after another, and what is anomalous there.

    `localised` says of which pictures the mask could be used.
    """

    side: Side
    maps: SmallMaps = field(default_factory=SmallMaps)
    masks: list[NDArray[np.uint8]] = field(default_factory=list)  # eight pixels in a byte
    localised: list[bool] = field(default_factory=list)

    def add(self, maps: Tensor | None, runs: Sequence[Runs | None]) -> None:
        """Take the maps (B, H, W) of a batch, if there are any, and the runs of each mask that can be used."""
        if maps is not None:
            self.maps.add(maps)
        self.localised += [each is not None for each in runs]
        empty = np.empty((0, 3), np.uint32)
        found = [small_mask(empty if each is None else each, size_of(self.side)) for each in runs]
        self.masks += [np.packbits(mask) for mask in found]

    def all_masks(self) -> NDArray[np.bool_]:
        """The masks (N, 64, 64) of all pictures."""
        packed = np.array(self.masks, np.uint8).reshape(len(self.masks), SMALL_SIDE**2 // 8)
        return np.unpackbits(packed, axis=1).astype(bool).reshape(-1, SMALL_SIDE, SMALL_SIDE)


def _highest(scores: Tensor) -> Tensor:
    """The highest score of the pixels that each small pixel stands for: (H, W) -> (64, 64).

    It is `adaptive_max_pool2d`, by whole rows: two to three times as fast on a CPU.
    """
    for _ in scores.shape:  # down its rows, then down its columns, which are rows by then
        places = _windows(len(scores)).to(scores.device)
        rows = scores.index_select(0, places.flatten()).view(*places.shape, -1)
        scores = rows.amax(1).T.contiguous()
    return scores


@lru_cache(maxsize=32)
def _windows(size: int) -> Tensor:
    """The pixels of a side of so many that each small pixel stands for, the last of them repeated: (64, most)."""
    spans = [_touched(first, first, SMALL_SIDE, size) for first in range(SMALL_SIDE)]
    most = max(each.stop - each.start for each in spans)
    with torch.inference_mode(mode=False):
        return torch.tensor([[min(each.start + step, each.stop - 1) for step in range(most)] for each in spans])


def small_mask(runs: Runs, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (64, 64) of the regions (R, 3) of a picture of `size` (height, width): every pixel that one touches."""
    found = np.zeros((SMALL_SIDE, SMALL_SIDE), bool)
    if not len(runs):
        return found
    height, width = size
    for (start, last), row in zip(_ends(runs), (runs[:, 0] // width).tolist(), strict=True):
        rows = _touched(row, row, height, SMALL_SIDE)
        found[rows, _touched(start - row * width, last - row * width, width, SMALL_SIDE)] = True
    return found


def _ends(runs: Runs) -> Sequence[tuple[int, int]]:
    """The first and the last pixel of each run."""
    return [(start, stop - 1) for start, stop, _ in runs.tolist()]


def _touched(first: int, last: int, side: int, other: int) -> slice:
    """The pixels of another side that any of these touch, as `adaptive_max_pool2d` shares them out."""
    return slice(first * other // side, -(-(last + 1) * other // side))
