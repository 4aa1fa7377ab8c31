"""Stages of a segmentation by hand, and against loops over places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stackclip.ops.segments import (
    EMPTY,
    classes_of_places,
    classes_of_regions,
    doubled,
    foreground_of,
    histogram,
    mean_of_regions,
    nearest,
    pieces,
    twice,
)
from stackclip.sizes import Size

NONE = torch.full((2,), -torch.inf)


def test_doubling_keeps_the_corners_and_makes_tokens_unit() -> None:
    tokens = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    found = doubled(tokens, Size(3, 3)).view(6, 6, 4)
    corner = torch.nn.functional.normalize(tokens[8], dim=0)
    torch.testing.assert_close(found[5, 5], corner)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(6, 6))


def test_the_mean_of_each_region_is_that_of_a_loop_and_zero_without_a_place() -> None:
    draws = torch.Generator().manual_seed(0)
    tokens, regions = torch.randn(16, 3, generator=draws), torch.randint(0, 3, (16,), generator=draws)
    found = mean_of_regions(tokens, regions, 4)
    for region in range(3):
        torch.testing.assert_close(found[region], tokens[regions == region].mean(0))
    assert not found[3].any()


def test_the_nearest_centre_is_euclidean() -> None:
    centres = torch.tensor([[0.0, 1.0], [3.0, 0.0]])
    assert nearest(torch.tensor([[1.0, 0.0], [2.5, 0.0]]), centres).tolist() == [0, 1]


def test_a_region_is_the_class_it_is_most_like_and_all_classes_behind_are_background() -> None:
    means = torch.eye(4)[:, :4]
    anchors = torch.eye(4)  # two classes and two of the background
    assert classes_of_regions(means, anchors, NONE).tolist() == [0, 1, 2, 2]


def test_a_region_below_its_threshold_is_background_and_an_empty_one_nothing() -> None:
    means = torch.tensor([[0.9, 0.3], [0.0, 0.0], [0.6, 0.5]])  # cosines of .949 and .768 with the first anchor
    anchors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert classes_of_regions(means, anchors, torch.tensor([0.8])).tolist() == [0, EMPTY, 1]
    assert classes_of_regions(means, anchors, torch.tensor([-torch.inf])).tolist() == [0, EMPTY, 0]


@pytest.mark.parametrize(("side", "kept", "dropped"), [(64, 9, 8), (32, 3, 2), (128, 33, 32), (8, 1, 0)])
def test_specks_are_of_the_same_share_on_every_grid(side: int, kept: int, dropped: int) -> None:
    classes = torch.ones(side, side, dtype=torch.long)
    classes.view(-1)[:kept] = 0 if kept <= side else 1
    if kept > side:  # a run that fills more than a row
        classes[0], classes[1, : kept - side] = 0, 0
    classes[4, :dropped] = 0
    found = foreground_of(classes, 1)
    assert int(found.sum()) == kept
    assert not found[4].any()


def test_diagonal_neighbours_are_one_component() -> None:
    classes = torch.ones(64, 64, dtype=torch.long)
    classes[torch.arange(9), torch.arange(9)] = 0
    assert int(foreground_of(classes, 1).sum()) == 9


def test_places_behind_the_foreground_and_those_most_like_the_background_are_background() -> None:
    tokens = torch.eye(3)[[0, 1, 2, 0]]
    foreground = torch.tensor([True, True, True, False])
    assert classes_of_places(tokens, torch.eye(3), foreground, 2).tolist() == [0, 1, 2, 2]
    assert classes_of_places(tokens, torch.eye(3), foreground, 1).tolist() == [0, 1, 1, 1]


def test_histograms_count_all_but_the_background() -> None:
    classes = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (5, 36)))
    expected = [[int((row == each).sum()) for each in range(3)] for row in classes]
    assert histogram(classes, 3).tolist() == expected


def test_pieces_are_components_and_specks_are_none() -> None:
    classes = torch.full((64, 64), 2)
    classes[:4, :4], classes[10:14, :4], classes[20, :5], classes[30:40, 30:40] = 0, 0, 0, 1
    assert list(pieces(classes, 2)) == [2, 1]


@pytest.mark.parametrize("grid", [Size(3, 5), Size(4, 16)])
def test_a_grid_of_twice_the_sides_is_that_of_interpolation(grid: Size) -> None:
    tokens = torch.randn(grid.area, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    maps = tokens.T.reshape(1, 4, *grid)
    wanted = torch.nn.functional.interpolate(maps, size=twice(grid), mode="bilinear", align_corners=True)[0]
    wanted = torch.nn.functional.normalize(wanted.flatten(1).T, dim=1)
    torch.testing.assert_close(doubled(tokens, grid), wanted)
