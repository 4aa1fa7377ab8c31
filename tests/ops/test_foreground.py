"""The object's patches by a principal component: scikit-learn's component, a drawn scene, both ways to close a mask."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA

from stackclip.ops.foreground import foreground

GRID = (12, 10)


def scene(*, turned: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of a disc on a ground that lie apart along one direction, and which are the disc's."""
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(10.0), indexing="ij")
    disc = ((rows - 5.5).square() + (columns - 4.5).square()).sqrt().flatten() < 3.4
    draws = torch.Generator().manual_seed(0)
    direction = torch.randn(8, generator=draws)
    return turned * (torch.randn(120, 8, generator=draws) / 5 + torch.outer(disc * 9.0, direction)), disc


@pytest.mark.parametrize("turned", [1.0, -1.0, 0.01])
def test_a_disc_is_found_whatever_its_sign_and_scale(turned: float) -> None:
    tokens, disc = scene(turned=turned)
    found = foreground(tokens, GRID, 0.5, spread=True, reach="grid")
    assert (found | ~disc).all(), "the whole disc"
    assert not found.reshape(GRID)[[0, -1]].any(), "and a rim of one patch at most"


def test_the_component_is_that_of_scikit_learn() -> None:
    tokens = torch.randn(120, 8, generator=torch.Generator().manual_seed(1))
    component = torch.from_numpy(PCA(1).fit_transform(tokens.double().numpy()))[:, 0]
    raw = component > 1.0
    middle = raw.reshape(GRID)[2:9, 2:8].double().mean()
    wanted = raw if middle > 0.35 else -component > 1.0
    opened = wanted.reshape(-1)
    widened = [bool(opened[max(0, n - 1) : n + 2].any()) for n in range(120)]
    wider = [any(widened[max(0, n - 1) : n + 2]) for n in range(120)]
    closed = [all(wider[max(0, n - 1) : n + 2]) for n in range(120)]
    assert foreground(tokens, GRID, 1.0, spread=False, reach="row").tolist() == closed


def test_patches_that_are_all_alike_are_no_object() -> None:
    assert not foreground(torch.ones(120, 8), GRID, 0.5, spread=True, reach="grid").any()


@pytest.mark.parametrize("grid", [(1, 20), (20, 1)])
@pytest.mark.parametrize("turned", [1.0, -1.0])
def test_a_single_row_of_patches_has_a_middle_too(grid: tuple[int, int], turned: float) -> None:
    thing = torch.zeros(20, dtype=torch.bool)
    thing[6:14] = True  # of the places 4 to 15, which are the middle, 8 of 12
    tokens = torch.randn(20, 8, generator=torch.Generator().manual_seed(0)) / 100 + turned * thing[:, None] * 9.0
    found = foreground(tokens, grid, 0.5, spread=True, reach="grid")
    assert found.tolist() == [4 < place < 15 for place in range(20)], "the object and a rim of one patch"
