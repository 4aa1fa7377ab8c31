"""Scorers price a k-means split of the training categories; the lowest price wins."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stackclip.registry import scorers

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Bic", "Fixed", "Penalty", "Silhouette", "inertia"]


def inertia(points: np.ndarray, labels: np.ndarray) -> float:
    """Sum of squared distances of points (n, D) to the mean of their cluster."""
    return float(
        sum(
            ((members - members.mean(0)) ** 2).sum()
            for members in (points[labels == label] for label in sorted(set(labels.tolist())))
        )
    )


def _sizes(labels: np.ndarray) -> list[int]:
    """How many points each cluster has, the largest last: a number of a cluster means nothing."""
    return sorted(Counter(labels.tolist()).values())


@scorers.register("penalty")
@dataclass(frozen=True, kw_only=True)
class Penalty:
    """Inertia plus lambda * e**k (FuzzyCLIP, equation 4).

    `sse=mean` divides the inertia by the number of categories: the paper does not say which; with it k is always 1.
    """

    lambda_: float = 0.1
    sse: Literal["sum", "mean"] = "sum"

    def __call__(self, points: np.ndarray, labels: np.ndarray) -> float:
        """The price of the split `labels` (n,) of `points` (n, D)."""
        total = inertia(points, labels) / (len(points) if self.sse == "mean" else 1)
        return total + self.lambda_ * math.exp(len(set(labels.tolist())))


@scorers.register("silhouette")
@dataclass(frozen=True, kw_only=True)
class Silhouette:
    """Minus the mean silhouette of the points (Rousseeuw 1987): how much nearer a point is to its own cluster.

    A point alone in its cluster counts 0, and so do all points of a single cluster.
    """

    def __call__(self, points: np.ndarray, labels: np.ndarray) -> float:
        """The price of the split `labels` (n,) of `points` (n, D), from -1 to 1."""
        from sklearn.metrics import silhouette_score

        alone = len(_sizes(labels)) in (1, len(labels))
        return 0.0 if alone else -float(silhouette_score(points, labels))


@scorers.register("bic")
@dataclass(frozen=True, kw_only=True)
class Bic:
    """The Bayesian information criterion of round clusters of one spread, as x-means has it (Pelleg & Moore 2000).

    With a cluster for each point no spread is left to be estimated: that split is priced with the spread of all points,
    as one that explains nothing.
    """

    def __call__(self, points: np.ndarray, labels: np.ndarray) -> float:
        """Minus twice the log-likelihood, plus log n for each parameter: `labels` (n,), `points` (n, D)."""
        count, width = points.shape
        sizes = _sizes(labels)
        clusters = len(sizes)
        explained = labels if clusters < count else labels * 0
        spread = inertia(points, explained) / (width * max(1, count - len(_sizes(explained))))  # variance a dimension
        likelihood = (
            sum(size * math.log(size / count) for size in sizes)
            - count * width / 2 * math.log(2 * math.pi * max(spread, _LEAST_SPREAD))
            - width * (count - clusters) / 2
        )
        return float(-2 * likelihood + (clusters - 1 + clusters * width + 1) * math.log(count))


_LEAST_SPREAD = 1e-12  # of points that are all equal


@scorers.register("fixed")
@dataclass(frozen=True, kw_only=True)
class Fixed:
    """How far the number of clusters is from `clusters`: the nearest that can be made wins (FuzzyCLIP, table 6)."""

    clusters: int = 1

    def __call__(self, points: np.ndarray, labels: np.ndarray) -> float:
        """The price of the split `labels` (n,) of `points` (n, D)."""
        return float(abs(len(_sizes(labels)) - self.clusters))
