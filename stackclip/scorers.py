"""Scorers price a k-means split of the training categories; the lowest price wins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stackclip.registry import scorers

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Penalty", "inertia"]


def inertia(points: np.ndarray, labels: np.ndarray) -> float:
    """Sum of squared distances of points (n, D) to the mean of their cluster."""
    return float(
        sum(
            ((members - members.mean(0)) ** 2).sum()
            for members in (points[labels == label] for label in sorted(set(labels.tolist())))
        )
    )


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
