"""k-means against scikit-learn's own, and of points that are equal."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from stackclip.ops.clusters import k_means


def test_labels_and_centres_are_those_of_scikit_learn_with_the_seed() -> None:
    points = np.random.default_rng(0).normal(size=(40, 3))
    found, own = k_means(points, 4, starts=3, seed=7), KMeans(4, n_init=3, random_state=7).fit(points)
    np.testing.assert_array_equal(found.labels, own.labels_)
    np.testing.assert_array_equal(found.centres, own.cluster_centers_)


def test_equal_points_leave_clusters_empty_without_a_warning() -> None:
    assert set(k_means(np.ones((6, 2)), 3, starts=1, seed=0).labels) == {0}
