"""How far a histogram of parts is from those of normal pictures, and how far scores are from normal ones (CLIP-LAD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Normality", "Ratio", "histogram_distance"]

Ratio = Literal["relative", "literal", "symmetric", "l1", "cosine"]
"""How two histograms are compared: readings of equation 2."""

LEAST_NORMAL = 3  # scores of two kinds that a covariance needs
_LEAST_SPREAD = 1e-3  # of a score that all normal pictures share, so that it may differ at all


def histogram_distance(tested: Tensor, normal: Tensor, ratio: Ratio, *, eps: float) -> Tensor:
    """The distance of a histogram h' (n,) from the nearest of the normal ones h (k, n): a number.

    `relative` is sum |h' - h| / (h + eps), `symmetric` the same over (h' + h + eps), `l1` over 1; `literal` is the sum
    of h' / (h + eps), which equation 2 prints and which a missing part makes smaller; `cosine` is 1 - cos. CLIP-LAD,
    equation 2.
    """
    difference = (tested - normal).abs()
    if ratio == "literal":
        found = (tested / (normal + eps)).sum(-1)
    elif ratio == "cosine":
        found = 1 - torch.cosine_similarity(tested.expand_as(normal), normal, dim=-1)
    else:
        price = {"relative": normal + eps, "symmetric": tested + normal + eps, "l1": torch.ones_like(normal)}[ratio]
        found = (difference / price).sum(-1)
    return found.min()


@dataclass(frozen=True, eq=False)
class Normality:
    """Mean (F,) and metric (F, F) of the scores of normal pictures, by which others are far or near."""

    mean: Tensor
    metric: Tensor

    @classmethod
    def of(cls, scores: Tensor, *, ridge: float, printed: bool = False) -> Normality:
        """Of scores (n, F), n > 1: by the inverse of their covariance (n - 1), or by itself as equation 4 is printed.

        To each variance the `ridge`-th part of it is added; none is less than 1e-6, as of scores that are all equal.
        """
        scores = scores.double()
        covariance = scores.T.cov()
        if printed:
            return cls(scores.mean(0), covariance)
        spread = torch.diag(covariance.diagonal().clamp(min=_LEAST_SPREAD**2) * (1 + ridge) - covariance.diagonal())
        return cls(scores.mean(0), torch.linalg.inv(covariance + spread))

    def distances(self, scores: Tensor) -> Tensor:
        """sqrt((x - mean) metric (x - mean)) of scores (B, F): (B,). CLIP-LAD, equation 4."""
        off = scores.double() - self.mean
        return torch.einsum("bf,fg,bg->b", off, self.metric, off).clamp(min=0).sqrt()
