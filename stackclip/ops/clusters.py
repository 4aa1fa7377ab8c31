"""k-means with seeded starts, as scikit-learn has it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

__all__ = ["Clusters", "k_means"]


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """The cluster of each of n points, (n,), and the clusters' centres, (k, F)."""

    labels: np.ndarray
    centres: np.ndarray


def k_means(points: np.ndarray, clusters: int, *, starts: int, seed: int) -> Clusters:
    """Euclidean k-means of points (n, F), n >= `clusters`: the best of as many starts, which the seed draws."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # points can be equal: some clusters then stay empty
        found = KMeans(clusters, n_init=starts, random_state=seed).fit(points)
    return Clusters(found.labels_, found.cluster_centers_)
