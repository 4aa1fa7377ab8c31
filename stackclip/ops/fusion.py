"""Hybrid semantic fusion: the patches that look most anomalous, clustered, as one more feature of the picture."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from stackclip.ops.maps import unit

__all__ = ["semantic_fusion"]

_A_CLUSTER = 5  # patches for each cluster, of those that look most anomalous: 100 for AdaCLIP's 20
_STARTS = 4  # runs of k-means; the best counts


def semantic_fusion(tokens: Tensor, logits: Tensor, *, clusters: int, seed: int) -> Tensor:
    """The unit mean of the centres of the most anomalous patches of a picture: (D,), with gradients.

    `tokens` (K, P, D) are its unit patch tokens in K layers, `logits` (P,) say how anomalous each patch is. Five
    patches for each of the `clusters` are taken (of a picture with fewer there are fewer clusters) and clustered by the
    tokens of all layers together; a centre is the mean of its patches, and of the layers. AdaCLIP, as released.
    """
    clusters = max(1, min(clusters, len(logits) // _A_CLUSTER))
    chosen = logits.topk(min(_A_CLUSTER * clusters, len(logits))).indices
    kept = tokens[:, chosen]  # (K, n, D)
    labels = _k_means(kept.detach().transpose(0, 1).flatten(1).cpu().numpy(), clusters, seed)
    members = [torch.from_numpy(np.flatnonzero(labels == label)).to(kept.device) for label in np.unique(labels)]
    centres = [kept[:, own].mean((0, 1)) for own in members]  # each (D,)
    return unit(torch.stack(centres).mean(0))


def _k_means(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """The cluster of each point: (n, F) -> (n,)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # patches of one colour can be equal: fewer clusters
        labels: np.ndarray = KMeans(clusters, n_init=_STARTS, random_state=seed).fit_predict(points)
    return labels
