"""Hybrid semantic fusion: the patches that look most anomalous, clustered, as one more feature of the picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stackclip.ops.clusters import k_means
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
    points = kept.detach().transpose(0, 1).flatten(1).cpu().numpy()
    labels = k_means(points, clusters, starts=_STARTS, seed=seed).labels
    members = [torch.from_numpy(np.flatnonzero(labels == label)).to(kept.device) for label in np.unique(labels)]
    centres = [kept[:, own].mean((0, 1)) for own in members]  # each (D,)
    return unit(torch.stack(centres).mean(0))
