"""The maps of tiles that overlap as one map: each counts less towards its edges, and all together count 1."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from stackclip.ops.tiling import Tiling
from stackclip.sizes import Side, size_of

__all__ = ["Blend", "tile_weights"]

_LEAST = 1e-6  # what a tile counts at its very edge, where it may be alone


class Blend:
    """Takes the maps of a picture's tiles one by one, and keeps their weighed sum at a `side` in pixels, or a size.

    Where tiles overlap the weights run linearly from one to the other. With the whole picture as one more tile it
    counts as much as all tiles together.
    """

    def __init__(self, tiling: Tiling, side: Side) -> None:
        self.tiling, self.size = tiling, size_of(side)
        self._sum: Tensor | None = None

    def add(self, number: int, tile: Tensor) -> None:
        """Take the map (h, w) of the view of that number, counted from 0."""
        if self._sum is None:
            self._sum = torch.zeros(*self.size, dtype=tile.dtype, device=tile.device)
        tiling, (height, width) = self.tiling, tile.shape
        share = 0.5 if len(tiling.views) > len(tiling.tiles) else 1.0
        grid = (tiling.rows, tiling.columns) if number < len(tiling.tiles) else (1, 1)
        row, column = divmod(number if grid != (1, 1) else 0, grid[1])
        top, down = tile_weights(grid[0], tiling.overlap, self.size.height, height)[row]
        left, across = tile_weights(grid[1], tiling.overlap, self.size.width, width)[column]
        place = self._sum[top : top + len(down), left : left + len(across)]
        place += share * (down.to(tile) @ tile @ across.to(tile).mT)

    @property
    def map(self) -> Tensor:
        """The blended map (H, W) of all views. Raises RuntimeError where none came."""
        if self._sum is None:
            raise RuntimeError("no map came to be blended")
        return self._sum


@lru_cache(maxsize=32)
def tile_weights(count: int, overlap: int, side: int, pixels: int) -> tuple[tuple[int, Tensor], ...]:
    """For each of `count` tiles along a side: the first of the `side` pixels that it reaches, and rows of weights.

    Rows (n, pixels) interpolate the tile's own pixels linearly at the n that it reaches, edges on edges, times what the
    tile counts there. Over all tiles these sum to 1 at every pixel.
    """
    with torch.inference_mode(mode=False):
        length = 100 / (100 * count - overlap * (count - 1))  # of the side, which is 1
        starts = torch.linspace(0, 1 - length, count, dtype=torch.float64)
        centres = (torch.arange(side, dtype=torch.float64) + 0.5) / side
        inside = (centres - starts[:, None]) / length  # (count, side), where in the tile
        reach = torch.where((inside >= -1e-9) & (inside <= 1 + 1e-9), inside.minimum(1 - inside).clamp(min=_LEAST), 0)
        shares = reach / reach.sum(0)
        return tuple(_of_tile(*each, pixels) for each in zip(shares, inside, strict=True))


def _of_tile(share: Tensor, inside: Tensor, pixels: int) -> tuple[int, Tensor]:
    """Where a tile begins, and its rows, of what it counts and where in it each pixel lies (side,)."""
    reached = share.nonzero().flatten()
    if not len(reached):  # between two pixels
        return 0, torch.zeros(0, pixels, dtype=torch.float64)
    at = (inside[reached] * pixels - 0.5).clamp(0, pixels - 1)
    low = at.floor().long()
    high, part = (low + 1).clamp(max=pixels - 1), (at - low)
    rows = torch.zeros(len(reached), pixels, dtype=torch.float64)
    at_row = torch.arange(len(reached))
    rows[at_row, low] += 1 - part
    rows[at_row, high] += part
    return int(reached[0]), rows * share[reached][:, None]
