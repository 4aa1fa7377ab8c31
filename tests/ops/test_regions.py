"""Regions of masks, against a flood fill in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from stackclip.ops.regions import label_regions, paint_mask, paint_regions

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def flood(mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Number the regions by walking to all eight neighbours from each pixel not seen yet."""
    regions = np.zeros(mask.shape, dtype=np.uint32)
    count = 0
    for y, x in zip(*np.nonzero(mask), strict=True):
        if regions[y, x]:
            continue
        count += 1
        waiting = [(int(y), int(x))]
        while waiting:
            row, column = waiting.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if inside and mask[row, column] and not regions[row, column]:
                regions[row, column] = count
                waiting += [(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return regions


@given(masks)
def test_regions_are_those_of_a_flood_fill(mask: NDArray[np.bool_]) -> None:
    painted = paint_regions(label_regions(mask), mask.shape)
    np.testing.assert_array_equal(painted, flood(mask))
    assert painted.dtype == np.uint32


@given(masks)
def test_a_mask_survives_its_runs(mask: NDArray[np.bool_]) -> None:
    painted = paint_mask(label_regions(mask), mask.shape)
    np.testing.assert_array_equal(painted, mask)
    assert painted.dtype == np.bool_


@given(masks)
def test_runs_are_sorted_and_apart_and_each_lies_in_one_row(mask: NDArray[np.bool_]) -> None:
    runs = label_regions(mask)
    assert runs.dtype == np.uint32
    assert runs.shape[1:] == (3,)
    start, stop, _ = runs.astype(np.int64).T
    assert (start < stop).all()
    assert (start[1:] >= stop[:-1]).all()
    np.testing.assert_array_equal(start // mask.shape[1], (stop - 1) // mask.shape[1])


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]])
    assert label_regions(mask).tolist() == [[0, 1, 1], [3, 4, 2], [5, 6, 1], [11, 12, 3]]


def test_the_end_of_a_row_does_not_touch_the_start_of_the_next() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 0, 0]])
    assert label_regions(mask).tolist() == [[3, 4, 1], [4, 5, 2]]


def test_a_normal_picture_has_no_runs() -> None:
    runs = label_regions(np.zeros((3, 5), dtype=bool))
    assert runs.shape == (0, 3)
    assert runs.dtype == np.uint32
    assert not paint_mask(runs, (3, 5)).any()


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32])
def test_every_non_zero_value_of_a_mask_counts(dtype: Any) -> None:
    mask = np.array([[0, 255], [3, 0]]).astype(dtype)
    assert label_regions(mask).tolist() == [[1, 2, 1], [2, 3, 1]]


def test_a_mask_with_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        label_regions(np.zeros((4, 4, 3)))


@given(st.integers(1, 15))
def test_runs_of_a_larger_picture_are_refused(pixels: int) -> None:
    with pytest.raises(ValueError, match="reach pixel 16"):
        paint_mask(label_regions(np.ones((4, 4))), (1, pixels))
