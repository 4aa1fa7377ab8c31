"""Adapters and projections that are put into a frozen tower, and trained there (AA-CLIP, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.heads.projections import draw_linear, empty_linear
from stackclip.ops.maps import unit

__all__ = ["AttentionAdapter", "ResidualAdapter", "ResidualAdapters", "xavier_linear"]

SHARE = 0.1  # of the adapter in what leaves it, as released
SLOPE = 0.01  # of the leaky ReLU below 0


class ResidualAdapter(nn.Module):
    """Tokens (..., C), moved by a linear layer of their own that keeps their length; AA-CLIP, equation 2.

    x <- (1 - share) x + share |x| A(x) / |A(x)| for each token, A = LeakyReLU(W x).
    """

    def __init__(self, width: int, *, draws: torch.Generator, share: float = SHARE) -> None:
        super().__init__()
        self.fc, self.share = xavier_linear(width, width, draws=draws), share

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of the same shape."""
        moved = unit(F.leaky_relu(self.fc(tokens), SLOPE)) * tokens.norm(dim=-1, keepdim=True)
        return torch.lerp(tokens, moved, self.share)


class ResidualAdapters(nn.ModuleDict):
    """An adapter behind each of some blocks: what `after` of a walk through a tower takes, by the block's number."""

    def __init__(self, width: int, layers: Iterable[int], *, draws: torch.Generator) -> None:
        super().__init__({str(layer): ResidualAdapter(width, draws=draws) for layer in layers})

    def behind(self, first: int = 1) -> dict[int, nn.Module]:
        """The adapters by their blocks, from block `first` on."""
        return {int(layer): adapter for layer, adapter in self.items() if int(layer) >= first}


class AttentionAdapter(nn.Module):
    """Tokens (B, N, C) behind LayerNorm and self-attention, without a residual; AF-CLIP, its adaptor.

    `query`, `key` and `value` have no bias; all are drawn as nn.Linear draws them.
    """

    def __init__(self, width: int, *, heads: int = 8, each: int = 64, draws: torch.Generator) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.query, self.key, self.value = (empty_linear(width, heads * each, bias=False) for _ in range(3))
        self.out = empty_linear(heads * each, width)
        draw_linear(self, draws)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of the same shape."""
        normed = self.norm(tokens)
        split = [
            layer(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        moved: Tensor = self.out(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))
        return moved


def xavier_linear(inputs: int, outputs: int, *, bias: bool = False, draws: torch.Generator) -> nn.Linear:
    """A linear layer whose weights are drawn as Xavier's uniform ones; a bias begins at 0."""
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")
    bound = (6 / (inputs + outputs)) ** 0.5
    with torch.no_grad():
        layer.weight.copy_(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=draws))
        if bias:
            layer.bias.zero_()
    return layer
