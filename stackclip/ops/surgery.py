"""Feature surgery: patches compared with two texts, less what both comparisons share (CLIP Surgery; CLIP-AD, eq. 5-7).

Equation 7 subtracts the weighted mean from the unweighted product; the released code weighs both, and is followed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stackclip.ops.maps import unit
from stackclip.types import ANOMALOUS

__all__ = ["surgery"]


def surgery(tokens: Tensor, cls: Tensor, anchors: Tensor, *, factor: float = 1.0) -> Tensor:
    """How anomalous each patch is: tokens (B, P, D), class tokens (B, D), unit anchors (B, 2, D) -> (B, P).

    Each side is weighed by w = p / mean(p), p = softmax(factor * cos(class token, anchors)); from both their mean is
    taken away. With two sides the anomalous one that remains is half the difference of the weighted cosines.
    """
    chances = torch.softmax(factor * torch.einsum("bd,bsd->bs", unit(cls), anchors), dim=1)
    weights = chances / chances.mean(1, keepdim=True)  # (B, 2)
    cosines = torch.einsum("bpd,bsd->bps", unit(tokens), anchors) * weights[:, None]
    return (cosines - cosines.mean(-1, keepdim=True))[..., ANOMALOUS]
