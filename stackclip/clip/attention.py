"""The attention of one block of open_clip, taken apart: on tokens, queries, keys and values of one's own."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.errors import NotApplicable

__all__ = ["attend", "attend_by_value", "attend_near", "nearness", "passed_through", "projected"]


def passed_through(block: Any, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """The tokens (B, N, C) behind a block, which may be of any make; `mask` (N, N) is added to the scaled products.

    What open_clip's own block does, in one product for queries, keys and values and without a copy of each of them.
    """
    if not _is_plain(block):
        behind: Tensor = block(tokens, attn_mask=mask)
        return behind
    queries, keys, values = projected(block, block.ln_1(tokens), "qkv")
    tokens = tokens + attend(block, queries, keys, values, mask)
    added: Tensor = block.ls_2(block.mlp(block.ln_2(tokens)))
    return tokens + added


def _is_plain(block: Any) -> bool:
    """Whether it is open_clip's block as it is: nothing made of it, and nobody who listens."""
    make, parts = type(block), (block, getattr(block, "attn", block))
    return (
        (make.__module__, make.__name__) == ("open_clip.transformer", "ResidualAttentionBlock")
        and (type(block.attn) is nn.MultiheadAttention and block.attn.batch_first)
        and not any(each._forward_hooks or each._forward_pre_hooks for each in parts)
    )


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
    q, k, v = (torch.unflatten(each, -1, (heads, -1)).transpose(1, 2) for each in (queries, keys, values))
    bias = bias if bias is None else bias.to(q.dtype)
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
