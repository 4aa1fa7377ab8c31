"""Small maps lose no peak, small masks no region, and levels say scores to half a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stackclip.ops.regions import label_regions
from stackclip.ops.small_maps import SMALL_SIDE, Looked, SmallMaps, small_mask


def touching(pixel: int, side: int) -> tuple[int, int]:
    """The large pixels, first and behind the last, that touch a small one."""
    return pixel * side // SMALL_SIDE, -(-(pixel + 1) * side // SMALL_SIDE)


@pytest.mark.parametrize("size", [(64, 64), (518, 518), (112, 97), (7, 200)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64])
def test_a_small_pixel_is_the_highest_of_those_it_stands_for(size: tuple[int, int], dtype: torch.dtype) -> None:
    maps = (torch.randn(3, *size, generator=torch.Generator().manual_seed(1)) * 40).to(dtype)
    kept = SmallMaps()
    kept.add(maps[:2])
    kept.add(maps[2:])
    levels = kept.all_levels()
    assert levels.shape == (3, SMALL_SIDE, SMALL_SIDE)
    assert levels.dtype == np.uint8
    np.testing.assert_allclose(kept.high, maps.double().amax((1, 2)))
    for number, (low, high) in enumerate(zip(kept.low, kept.high, strict=True)):
        back = low + (high - low) * levels[number].astype(float) / 255
        for row, column in ((0, 0), (13, 40), (63, 63)):
            (top, bottom), (left, right) = touching(row, size[0]), touching(column, size[1])
            wanted = float(maps[number, top:bottom, left:right].max())
            assert abs(back[row, column] - wanted) <= (high - low) / 510 + 1e-6


def test_a_level_map_has_one_level_and_its_own_score() -> None:
    kept = SmallMaps()
    kept.add(torch.full((2, 20, 20), -1.5))
    kept.add(torch.empty(0, 20, 20))
    assert not kept.all_levels().any()
    assert kept.low == kept.high == [-1.5, -1.5]
    assert SmallMaps().all_levels().shape == (0, SMALL_SIDE, SMALL_SIDE)


@pytest.mark.parametrize("side", [10, 64, 100, 518])
def test_a_small_mask_has_every_pixel_that_a_region_touches(side: int) -> None:
    mask = np.random.default_rng(side).random((side, side)) < 0.01
    mask[-1, -1] = mask[0, 0] = True
    found = small_mask(label_regions(mask), (side, side))
    for row in range(SMALL_SIDE):
        for column in range(SMALL_SIDE):
            (top, bottom), (left, right) = touching(row, side), touching(column, side)
            assert found[row, column] == mask[top:bottom, left:right].any(), (row, column)


def test_a_mask_that_cannot_be_used_is_empty_and_not_localised() -> None:
    looked = Looked(20)
    looked.add(None, [label_regions(np.ones((20, 20))), None])
    assert looked.localised == [True, False]
    assert looked.all_masks().all((1, 2)).tolist() == [True, False]
    assert not looked.maps.levels
