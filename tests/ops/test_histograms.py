"""Distances of histograms and of scores, by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine, mahalanobis

from stackclip.ops.histograms import Normality, histogram_distance

TESTED, NORMAL = torch.tensor([4.0, 0.0, 6.0]), torch.tensor([[4.0, 2.0, 6.0], [40.0, 0.0, 6.0]])


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        ("relative", 2 / 2.5),
        ("symmetric", 2 / 2.5),
        ("l1", 2),
        ("literal", 4 / 40.5 + 6 / 6.5),
        ("cosine", cosine([4, 0, 6], [4, 2, 6])),
    ],
)
def test_the_nearest_normal_histogram_counts(ratio, expected: float) -> None:
    assert float(histogram_distance(TESTED.double(), NORMAL.double(), ratio, eps=0.5)) == pytest.approx(expected)


def test_nothing_found_is_far_by_the_cosine_too() -> None:
    assert float(histogram_distance(torch.zeros(3), NORMAL, "cosine", eps=1)) == 1


def test_distances_are_those_of_mahalanobis() -> None:
    draws = np.random.default_rng(0)
    scores, tested = draws.normal(size=(9, 2)), draws.normal(size=(3, 2))
    found = Normality.of(torch.from_numpy(scores), ridge=0).distances(torch.from_numpy(tested))
    inverse = np.linalg.inv(np.cov(scores.T))
    expected = [mahalanobis(row, scores.mean(0), inverse) for row in tested]
    np.testing.assert_allclose(found, expected)


def test_units_of_a_score_do_not_matter_with_a_ridge_either() -> None:
    draws = torch.Generator().manual_seed(0)
    scores, tested = torch.randn(9, 2, generator=draws).double(), torch.randn(3, 2, generator=draws).double()
    scale = torch.tensor([1000.0, 1.0])
    plain = Normality.of(scores, ridge=0.1).distances(tested)
    torch.testing.assert_close(Normality.of(scores * scale, ridge=0.1).distances(tested * scale), plain)


def test_a_score_that_all_normal_pictures_share_still_has_a_distance() -> None:
    scores = torch.tensor([[0.0, 0.1], [0.0, 0.2], [0.0, 0.3]])
    far = Normality.of(scores, ridge=0).distances(torch.tensor([[0.002, 0.2], [0.0, 0.3]]))
    assert far.tolist() == pytest.approx([2, 1])
