"""The greedy coreset against the loop that it is, and what it starts from against sums over all pairs."""

from __future__ import annotations

import pytest
import torch

from stackclip.ops import coresets
from stackclip.ops.coresets import farthest_first, mean_distances, row_norms


def draw(count: int, seed: int, width: int = 8) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def by_loop(points: torch.Tensor, count: int, start: torch.Tensor) -> list[int]:
    far, chosen = start.clone(), list[int]()
    for _ in range(count):
        far[chosen] = -1
        chosen.append(int(far.argmax()))
        far = torch.minimum(far, (points - points[chosen[-1]]).norm(dim=1))
    return chosen


@pytest.mark.parametrize(("pool", "pairs"), [(1, 64), (7, 64), (50, 1 << 24), (1000, 1 << 24)])
@pytest.mark.parametrize("scattered", [True, False])
def test_the_choice_is_that_of_a_loop_however_few_the_candidates(
    pool: int, pairs: int, scattered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coresets, "_POOL", pool)
    monkeypatch.setattr(coresets, "_PAIRS", pairs)
    points = draw(300, 0) if scattered else draw(6, 1)[torch.arange(300) % 6] * 5 + draw(300, 2) / 10
    start = row_norms(points)
    assert farthest_first(points, 90, start).tolist() == by_loop(points, 90, start)


def test_the_rows_of_distances_have_these_norms_and_means() -> None:
    points = draw(40, 3) + 7
    distances = torch.cdist(points.double(), points.double())
    torch.testing.assert_close(row_norms(points), distances.norm(dim=1).float())
    torch.testing.assert_close(mean_distances(points, points[:5]), distances[:, :5].mean(1).float(), atol=1e-2, rtol=0)


def test_equal_points_are_each_chosen_once_and_more_than_there_are_is_refused() -> None:
    points = torch.ones(9, 4)
    assert sorted(farthest_first(points, 9, row_norms(points)).tolist()) == list(range(9))
    with pytest.raises(ValueError, match="10 of 9"):
        farthest_first(points, 10, row_norms(points))
