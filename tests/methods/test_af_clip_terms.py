"""The targets and the alignment of AF-CLIP's training against loops over pixels and pairs of patches."""

from __future__ import annotations

import math

import pytest
import torch

from stackclip.methods.af_clip import alignment_loss, patch_targets
from stackclip.ops.maps import unit
from stackclip.sizes import Size, SizeLike, size_of


def looped(tokens: torch.Tensor, target: torch.Tensor) -> float:
    """The loss by every pair of patches of each picture, a patch with itself among them."""
    like, unlike = [], []
    for picture, sides in zip(tokens.double(), target.tolist(), strict=True):
        for one, side in zip(picture, sides, strict=True):
            for other, opposite in zip(picture, sides, strict=True):
                if 0.5 in (side, opposite):
                    continue  # on neither side
                (like if side == opposite else unlike).append(float(one @ other))
    like_mean, unlike_mean = (sum(each) / max(len(each), 1) for each in (like, unlike))
    return max(0.0, unlike_mean - like_mean)


@pytest.mark.parametrize("seed", range(4))
def test_alignment_is_that_of_all_pairs(seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    target = torch.tensor([0.0] * 9 + [0.5, 1.0, 1.0])[
        torch.stack([torch.randperm(12, generator=draws) for _ in "abc"])
    ]
    spread = torch.where(target == 1, 0.2, 1.5)[..., None]  # normal patches are scattered
    tokens = unit(torch.randn(5, generator=draws) + spread * torch.randn(3, 12, 5, generator=draws))
    wanted = looped(tokens, target)
    assert wanted > 0.01
    assert float(alignment_loss(tokens, target)) == pytest.approx(wanted, abs=1e-6)


def test_alignment_is_above_nothing_where_unlike_patches_are_more_alike() -> None:
    """Worked by hand: normal patches are opposite, and an anomalous one lies with one of them."""
    tokens = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8], [0.6, -0.8]]])
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    # like: normal (1 + 1 - 1 - 1), anomalous (1 + 1 - .28 - .28), of 8; unlike: .6 + .6 - .6 - .6, of 4
    assert float(alignment_loss(tokens, target)) == 0.0
    closer = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    some = torch.tensor([[0.0, 0.0, 1.0, 0.5]])
    # like: (0 + 1) of 5; unlike: (1 - 1) of 2
    assert float(alignment_loss(closer, some)) == 0.0
    pair = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]])
    # normal are the first two, at right angles: like (2 + 1) / 5; unlike (.8 + .6) / 2
    assert float(alignment_loss(pair, torch.tensor([[0.0, 0.0, 1.0]]))) == pytest.approx(0.7 - 0.6, abs=1e-6)


def test_pairs_of_all_pictures_are_pooled() -> None:
    draws = torch.Generator().manual_seed(7)
    target = torch.tensor([[0.0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0.5, 0]])
    spread = torch.where(target == 1, 0.2, 1.5)[..., None]
    tokens = unit(torch.randn(4, generator=draws) + spread * torch.randn(2, 6, 4, generator=draws))
    apart = [float(alignment_loss(tokens[row : row + 1], target[row : row + 1])) for row in range(2)]
    found = float(alignment_loss(tokens, target))
    assert found == pytest.approx(looped(tokens, target), abs=1e-6)
    assert abs(found - sum(apart) / 2) > 1e-4


def bilinear(mask: torch.Tensor, grid: Size) -> list[float]:
    """A mask (H, W) at the middles of a grid's squares, between its four nearest pixels."""
    values = []
    for place in range(grid.area):
        value = 0.0
        placed = zip(divmod(place, grid.width), mask.shape, grid, strict=True)
        centre = [(at + 0.5) * length / places - 0.5 for at, length, places in placed]
        low = [math.floor(each) for each in centre]
        for down in (0, 1):
            for right in (0, 1):
                row, column = low[0] + down, low[1] + right
                weight = (1 - abs(centre[0] - row)) * (1 - abs(centre[1] - column))
                inside = [min(max(at, 0), side - 1) for at, side in zip((row, column), mask.shape, strict=True)]
                value += weight * float(mask[inside[0], inside[1]])
        values.append(value)
    return values


@pytest.mark.parametrize(
    ("side", "grid"), [(12, 3), (16, 4), (10, 4), (14, 5), (5, 5), ((12, 20), (3, 5)), ((14, 5), (4, 2))]
)
def test_targets_are_masks_on_the_grid_and_a_half_stays(side: SizeLike, grid: SizeLike) -> None:
    size, places = size_of(side), size_of(grid)
    masks = torch.randint(2, (4, *size), generator=torch.Generator().manual_seed(size.height)).float()
    found = patch_targets(masks, places)
    halves = 0
    for mask, ours in zip(masks, found.tolist(), strict=True):
        for value, target in zip(bilinear(mask, places), ours, strict=True):
            half = abs(value - 0.5) < 1e-6
            halves += half
            assert target == (0.5 if half else float(value > 0.5))
    assert halves or (side, grid) not in {(12, 3), (16, 4), ((12, 20), (3, 5))}  # four pixels, two of them defective
