"""The attention of one block of open_clip, taken apart: on tokens, queries, keys and values of one's own."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.errors import NotApplicable

__all__ = ["attend", "attend_by_value", "attend_near", "nearness", "projected"]


def projected(block: Any, normed: Tensor, names: Literal["q", "k", "v", "kv", "qkv"]) -> tuple[Tensor, ...]:
    """Queries, keys and values, those of `names`, of tokens (B, N, C) that went through ln_1: each (B, N, C).

    Raises NotApplicable for a block of another make.
    """
    attention = getattr(block, "attn", None)
    if not isinstance(attention, nn.MultiheadAttention) or not attention.batch_first:
        raise NotApplicable("only towers of plain attention blocks with a class token give it, not this one")
    first, last = "qkv".index(names[0]) * attention.embed_dim, ("qkv".index(names[-1]) + 1) * attention.embed_dim
    weight, bias = attention.in_proj_weight[first:last], attention.in_proj_bias[first:last]
    return F.linear(normed, weight, bias).chunk(len(names), dim=-1)


def attend(block: Any, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """A block's attention on queries (B, N, C), keys and values (B, M, C) that are projected already: (B, N, C).

    `bias` (N, M) is added to the scaled products, before the softmax.
    """
    heads = block.attn.num_heads
    q, k, v = (each.view(*each.shape[:2], heads, -1).transpose(1, 2) for each in (queries, keys, values))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (B, heads, N, C / heads)
    result: Tensor = block.ls_1(block.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
    return result


def attend_by_value(block: Any, tokens: Tensor) -> Tensor:
    """What a block's attention gives when its values are queries and keys as well: (B, N, C)."""
    (values,) = projected(block, block.ln_1(tokens), "v")
    return attend(block, values, values, values)


def attend_near(block: Any, tokens: Tensor, grid: tuple[int, int], spread: float) -> Tensor:
    """What a block's attention gives (B, N, C) when a patch attends to keys like its own that lie near it (NACLIP).

    `tokens` (B, 1 + P, C) are those before the block, the patches row by row on a grid of (rows, columns).
    """
    keys, values = projected(block, block.ln_1(tokens), "kv")
    return attend(block, keys, keys, values, nearness(grid, spread).to(keys))


def nearness(grid: tuple[int, int], spread: float) -> Tensor:
    """A Gaussian of the distance of each two of P patches, of height 1 and a standard deviation of `spread` patches.

    (1 + P, 1 + P): the class token in front is near nothing, so its row and column are 0.
    """
    rows, columns = ((torch.arange(side)[:, None] - torch.arange(side)) ** 2 for side in grid)
    apart = (rows[:, None, :, None] + columns[None, :, None, :]).reshape(2 * (grid[0] * grid[1],))
    return F.pad(torch.exp(-apart / (2 * spread**2)), (1, 0, 1, 0))
