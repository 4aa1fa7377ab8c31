"""A scorer in one file: the price of a k-means split of the training categories; the lowest wins.

Try it:

    stackclip check davies-bouldin
    stackclip bench --methods "stacked,stacked[scorer=davies-bouldin]"
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackclip.registry import scorers


@scorers.register("davies-bouldin")
@dataclass(frozen=True, kw_only=True)
class DaviesBouldin:
    """How wide clusters are for their distance, at worst and on the mean (Davies & Bouldin 1979).

    `undefined` is the price of a single cluster, and of one cluster for each point, for which there is no such figure.
    """

    undefined: float = 1.0

    def __call__(self, points: np.ndarray, labels: np.ndarray) -> float:
        """The price of the split `labels` (n,) of `points` (n, D): a finite number for 1 to n clusters."""
        from sklearn.metrics import davies_bouldin_score

        if len(np.unique(labels)) in (1, len(points)):
            return self.undefined
        return float(davies_bouldin_score(points, labels))
