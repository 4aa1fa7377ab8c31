"""Regions above a threshold, in the pixels of the picture: drawn by hand, and against masks painted back."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from PIL import Image
from scipy import ndimage

from stackclip.inspection.regions import Region, regions_of
from stackclip.ops.regions import label_regions


def area(polygon: np.ndarray) -> float:
    x, y = polygon[:-1].T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def test_regions_are_told_in_the_pixels_of_the_picture_the_hottest_first() -> None:
    scores = np.zeros((10, 10))
    scores[0:3, 0:2] = 1  # in the corner
    scores[5, 5], scores[6, 6] = 2, 3  # by a corner: one region
    hot, corner = regions_of(scores, 0.5, (20, 40))
    assert (hot.area, hot.peak, hot.box) == (2 * 2 * 4, 3, (10, 20, 4, 8))
    assert (corner.area, corner.peak, corner.box) == (6 * 8, 1, (0, 0, 4, 12))
    [outline] = corner.polygons
    assert outline.min(0) == pytest.approx([0, 0])  # it reaches the edges of the picture
    assert np.array_equal(outline[0], outline[-1])
    assert regions_of(scores, 3.0, (20, 40)) == []


@pytest.mark.parametrize("seed", range(4))
def test_outlines_painted_back_are_the_pixels_above_the_threshold(seed: int) -> None:
    draws = np.random.default_rng(seed)
    coarse = Image.fromarray(draws.normal(size=(9, 9)).astype(np.float32)).resize((72, 72), Image.Resampling.BICUBIC)
    scores, times = np.asarray(coarse), 8
    found = regions_of(scores, 0.6, (72 * times, 72 * times))
    above = scores > 0.6
    assert len(found) == len(set(label_regions(above)[:, 2].tolist()))
    assert sum(region.area for region in found) == pytest.approx(above.sum() * times**2)
    rows, columns = np.indices(scores.shape)
    centres = times * (np.stack([columns, rows], -1).reshape(-1, 2) + 0.5)
    outlines = [polygon for region in found for polygon in region.polygons]
    inside = np.logical_or.reduce([Polygon(outline).contains_points(centres) for outline in outlines])
    assert np.array_equal(inside.reshape(scores.shape), ndimage.binary_fill_holes(above))


def test_a_plateau_at_the_threshold_is_no_region_and_one_beside_it_is() -> None:
    scores = np.full((6, 6), 0.5)
    scores[2:4, 2:4] = 0.6
    [region] = regions_of(scores, 0.5, (6, 6))
    assert isinstance(region, Region)
    assert region.area == 4
    assert region.box == (2, 2, 2, 2)
    assert regions_of(np.full((3, 3), 1.0), 0.5, (3, 3))[0].box == (0, 0, 3, 3)
    assert area(regions_of(np.full((3, 3), 1.0), 0.5, (3, 3))[0].polygons[0]) == pytest.approx(9, abs=0.6)
