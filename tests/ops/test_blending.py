"""Blended maps: against a loop over pixels, and that nothing of the tiles is left to be seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stackclip.ops.blending import Blend, tile_weights
from stackclip.ops.tiling import Tiling
from stackclip.sizes import Size

TILINGS = [
    Tiling(rows=1, columns=1),
    Tiling(rows=2, columns=3),
    Tiling(rows=4, columns=4, overlap=50, whole=True),
    Tiling(rows=3, columns=2, overlap=75),
    Tiling(rows=3, columns=5, overlap=0),
    Tiling(rows=2, columns=2, overlap=0, whole=True),
]


def blended(tiling: Tiling, side: int, maps: Tensor) -> Tensor:
    blend = Blend(tiling, side)
    for number, tile in enumerate(maps):
        blend.add(number, tile)
    return blend.map


@pytest.mark.parametrize("tiling", TILINGS, ids=str)
@pytest.mark.parametrize("side", [3, 40, 91])
def test_a_constant_map_stays_constant(tiling: Tiling, side: int) -> None:
    found = blended(tiling, side, torch.full((len(tiling.views), 14, 14), 0.7, dtype=torch.float64))
    torch.testing.assert_close(found, torch.full((side, side), 0.7, dtype=torch.float64), rtol=0, atol=1e-12)


def at(tile: Tensor, down: float, across: float) -> float:
    """A map at a place from 0 to 1, between its four nearest pixels."""
    high, wide = tile.shape
    y, x = (min(max(each * side - 0.5, 0), side - 1) for each, side in ((down, high), (across, wide)))
    top, left = int(y), int(x)
    below, right = min(top + 1, high - 1), min(left + 1, wide - 1)
    upper = tile[top, left] * (1 - x + left) + tile[top, right] * (x - left)
    lower = tile[below, left] * (1 - x + left) + tile[below, right] * (x - left)
    return float(upper * (1 - y + top) + lower * (y - top))


@pytest.mark.parametrize("tiling", TILINGS, ids=str)
def test_blending_is_what_a_loop_over_pixels_gives(tiling: Tiling) -> None:
    maps = torch.rand(len(tiling.views), 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    side, shared = 17, tiling.overlap / 100
    wanted = torch.zeros(side, side, dtype=torch.float64)
    long = [1 / (count - (count - 1) * shared) for count in (tiling.rows, tiling.columns)]
    for y in range(side):
        for x in range(side):
            found: list[tuple[float, float]] = []
            for number in range(len(tiling.tiles)):
                inside = []
                for pixel, place, length in zip((y, x), divmod(number, tiling.columns), long, strict=True):
                    inside.append(((pixel + 0.5) / side - place * length * (1 - shared)) / length)
                weights = [max(min(each, 1 - each), 1e-6) if 0 <= each <= 1 else 0 for each in inside]
                found.append((weights[0] * weights[1], at(maps[number], *inside) if min(weights) else 0.0))
            wanted[y, x] = sum(weight * value for weight, value in found) / sum(weight for weight, _ in found)
            if len(tiling.views) > len(tiling.tiles):
                wanted[y, x] = (wanted[y, x] + at(maps[-1], (y + 0.5) / side, (x + 0.5) / side)) / 2
    torch.testing.assert_close(blended(tiling, side, maps), wanted, rtol=0, atol=1e-9)


def test_tiles_of_a_slope_make_up_the_slope_without_a_seam() -> None:
    tiling, pixels = Tiling(rows=3, columns=3), 20
    side = tiling.map_side(pixels)
    slope = (torch.arange(side, dtype=torch.float64) + 0.5).expand(side, side) / side
    starts = [column * 0.75 * pixels / side for _, column in (divmod(number, 3) for number in range(9))]
    centres = (torch.arange(pixels, dtype=torch.float64) + 0.5) / side
    found = blended(tiling, side, torch.stack([(start + centres).expand(pixels, pixels) for start in starts]))
    torch.testing.assert_close(found, slope, rtol=0, atol=1e-9)


def test_a_tile_counts_less_and_less_towards_its_neighbour() -> None:
    (_, first), (top, second) = tile_weights(2, 25, 70, 40)
    shares = first.sum(1)
    assert torch.equal(shares[: top - 1], torch.ones(top - 1, dtype=torch.float64))
    falling = shares[top:].diff()
    assert len(first) - top == 10
    assert (falling < 0).all()
    torch.testing.assert_close(falling, torch.full_like(falling, -0.1))  # a tenth a pixel over ten shared pixels
    torch.testing.assert_close(second.sum(1)[: len(first) - top], 1 - shares[top:])


def test_what_is_no_number_stays_seen() -> None:
    maps = torch.zeros(4, 8, 8)
    maps[3, 4, 4] = torch.nan
    assert blended(Tiling(rows=2, columns=2), 14, maps).isnan().any()


def test_a_blend_of_nothing_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no map came"):
        _ = Blend(Tiling(rows=2, columns=2), 14).map


def test_tiles_of_oblong_pictures_are_laid_beside_each_other_as_they_were_cut() -> None:
    tiling = Tiling(rows=2, columns=3, overlap=0)
    side = tiling.map_side(Size(4, 8))
    assert side == Size(12, 24)
    blend = Blend(tiling, side)
    for number in range(6):
        blend.add(number, torch.full((4, 8), float(number)))
    rows, columns = (torch.arange(12) // 6)[:, None], (torch.arange(24) // 8)[None]
    torch.testing.assert_close(blend.map, (3.0 * rows + columns))
    assert Tiling(rows=2, columns=3, side=48).map_side(Size(4, 8)) == Size(24, 48)
    assert Tiling(rows=1, columns=1, side=1).map_side(Size(4, 8)) == 1


def test_overlapping_tiles_of_a_slope_are_the_slope() -> None:
    tiling = Tiling(rows=1, columns=2, overlap=50)
    side = tiling.map_side(Size(8, 16))
    assert side == Size(12, 24)
    blend, across = Blend(tiling, side), (torch.arange(16) + 0.5) / 16  # of a tile that is 2/3 of the picture
    for number, start in enumerate((0.0, 1 / 3)):
        blend.add(number, (start + across * 2 / 3).expand(8, 16).double())
    wanted = ((torch.arange(24) + 0.5) / 24).double()
    torch.testing.assert_close(blend.map[:, 1:-1], wanted[1:-1].expand(12, 22), atol=1e-6, rtol=0)
