"""What brings tokens that are learned inside a tower and the patches of its taps together (VisualAD, as released)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.heads.adapters import xavier_linear
from stackclip.heads.projections import draw_linear, empty_linear
from stackclip.ops.modules import SeededDropout

__all__ = ["SelfAlignment", "SpatialCrossAttention"]

_SPREAD = 0.02  # of anchors and positions at the start, as released
_SHARE = 0.01  # of what is attended to in a token, at the start


class SpatialCrossAttention(nn.Module):
    """Tokens that take in what a few learned anchors see in the patches of a tap: VisualAD's SCA.

    t <- t + share * out(sum over anchors a of sigmoid(gate(t))_a * attention of a over the patches); one head. The keys
    know the place of their patch, by learned positions of `patches` places, the values do not.
    """

    def __init__(
        self, width: int, patches: int, *, anchors: int = 4, dropout: float = 0.1, draws: torch.Generator
    ) -> None:
        super().__init__()
        self.anchors = nn.Parameter(_SPREAD * torch.randn(anchors, width, generator=draws))
        self.positions = nn.Parameter(_SPREAD * torch.randn(patches, width, generator=draws))
        self.query, self.key, self.value = (xavier_linear(width, width, draws=draws) for _ in range(3))
        self.query_norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gate = empty_linear(width, anchors)
        draw_linear(self.gate, draws)
        self.out = xavier_linear(width, width, bias=True, draws=draws)
        self.share = nn.Parameter(torch.tensor([_SHARE]))
        self.dropout = SeededDropout(dropout, draws)

    def forward(self, tokens: Tensor, patches: Tensor) -> Tensor:
        """Tokens (B, T, C) with what patches (B, P, C) add to them."""
        queries = self.query_norm(self.query(self.anchors))  # (A, C)
        keys = self.key_norm(self.key(patches + self.positions))  # (B, P, C)
        attention = torch.softmax(queries @ keys.mT * queries.shape[-1] ** -0.5, dim=-1)[:, None]  # (B, 1, A, P)
        attention = self.dropout(attention.expand(-1, tokens.shape[1], -1, -1))  # each token has its own draws
        seen = attention @ self.value(patches)[:, None]  # (B, T, A, C)
        gates = torch.sigmoid(self.gate(tokens))  # (B, T, A)
        added: Tensor = self.dropout(self.out((gates[..., None] * seen).sum(2)))
        return tokens + self.share * added


class SelfAlignment(nn.Module):
    """Patches (..., C) brought to where the tokens are, by two linear layers without a residual: VisualAD's SAF."""

    def __init__(self, width: int, *, dropout: float = 0.1, draws: torch.Generator) -> None:
        super().__init__()
        self.inner, self.outer = (xavier_linear(width, width, bias=True, draws=draws) for _ in range(2))
        self.dropout = SeededDropout(dropout, draws)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches of the same shape."""
        aligned: Tensor = self.outer(self.dropout(F.gelu(self.inner(patches))))
        return aligned
