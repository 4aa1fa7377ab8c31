"""How the grid of position embeddings is resized to another number of patches: published code parts ways here.

| mode | whose |
|---|---|
| `bicubic-antialias` | open_clip, and so APRIL-GAN, CLIP-AD, AA-CLIP, WinCLIP |
| `bicubic` | AdaCLIP, MuSc |
| `bilinear` | AnomalyCLIP, CLIP Surgery, VisualAD |
| `scale-factor` | NACLIP: bicubic by the factor (new + 0.1) / old, which samples at other places |
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.errors import UsageError
from stackclip.sizes import Side, size_of

__all__ = ["DEFAULT_POSITIONS", "POSITIONS", "Positions", "check_positions", "resize_positions"]

Positions = Literal["bicubic-antialias", "bicubic", "bilinear", "scale-factor"]

POSITIONS: tuple[Positions, ...] = get_args(Positions)
DEFAULT_POSITIONS: Positions = "bicubic-antialias"
_NUDGE = 0.1  # of a patch: NACLIP's factor would otherwise round down to a grid that is one too small


def check_positions(mode: str) -> None:
    """Raise UsageError for a mode that there is not."""
    if mode not in POSITIONS:
        raise UsageError(f"{mode!r} is no way to resize position embeddings, wanted {', '.join(POSITIONS)}")


def resize_positions(embedding: Tensor, grid: Side, mode: Positions) -> Tensor:
    """The position embeddings (1 + G * G, C) of a square for a grid of (rows, columns): (1 + P, C).

    The class token's is kept. Weights are published for squares, so that G is the root of what is there.
    """
    own, places = math.isqrt(len(embedding) - 1), size_of(grid)
    if places == (own, own):
        return embedding
    token, patches = embedding[:1], embedding[1:].reshape(1, own, own, -1).permute(0, 3, 1, 2)  # (1, C, G, G)
    if mode == "scale-factor":
        factors = (places.height + _NUDGE) / own, (places.width + _NUDGE) / own
        patches = F.interpolate(patches, scale_factor=factors, mode="bicubic", align_corners=False)
    else:
        way, _, antialias = mode.partition("-")
        patches = F.interpolate(patches, size=places, mode=way, align_corners=False, antialias=antialias == "antialias")
    return torch.cat([token, patches.permute(0, 2, 3, 1).reshape(places.area, -1)])
