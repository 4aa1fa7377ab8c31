"""open_clip's own ViT."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from stackclip.clip.makes.make import Make
from stackclip.clip.walk import Step, walk
from stackclip.errors import NotApplicable
from stackclip.sizes import Size
from stackclip.types import CLASS_TOKEN, GRID_POOL, OPEN_BLOCKS

__all__ = ["OpenViT"]


class OpenViT(Make):
    """open_clip's VisionTransformer: a class token in front, plain blocks, pooled by token, by average or attention."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self.grid, self.depth = Size(*visual.grid_size), len(visual.transformer.resblocks)
        self.width, self.joint = visual.transformer.width, visual.output_dim
        self._by_token = visual.attn_pool is None and visual.pool_type == "tok"
        self.lacks = () if self._by_token else (CLASS_TOKEN, GRID_POOL)

    def steps(self, pictures: Tensor, layers: Collection[int]) -> Iterator[Step]:
        """Step 0 around ln_pre, then a step for each block."""
        visual = self.visual
        patches = visual.conv1(pictures).flatten(2).transpose(1, 2)  # (B, P, C)
        first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        embedded = torch.cat([first, patches], dim=1) + visual.positional_embedding.to(patches.dtype)  # (B, 1 + P, C)
        start = Step(0, embedded, visual.ln_pre)
        yield start
        yield from walk(visual.transformer, start.after)

    def patches(self, step: Step) -> Tensor:
        return step.after[:, 1:]

    def feature(self, step: Step) -> Tensor:
        if self._by_token:
            return self.alone(step.after[:, 0])
        pooled: Tensor = self.visual._pool(step.after)[0] @ self.visual.proj
        return pooled

    def alone(self, tokens: Tensor) -> Tensor:
        read = self.norm(tokens) if self.visual.attn_pool is None else self.visual.ln_post(self._attended(tokens))
        joint: Tensor = read @ self.visual.proj
        return joint

    def _attended(self, tokens: Tensor) -> Tensor:
        """What the attention pool makes of one token (..., C), whatever the query: its value, projected."""
        pool = self.visual.attn_pool
        attention, keys = pool.attn, pool.ln_k(tokens)
        start = 2 * attention.embed_dim
        weight = attention.v_proj_weight if attention.in_proj_weight is None else attention.in_proj_weight[start:]
        values: Tensor = attention.out_proj(nn.functional.linear(keys, weight, attention.in_proj_bias[start:]))
        return values

    def norm(self, tokens: Tensor) -> Tensor:
        if self.visual.attn_pool is not None:
            raise NotApplicable("its last norm comes behind the attention that pools, and reads no patches")
        normed: Tensor = self.visual.ln_post(tokens)
        return normed

    def opened(self, need: str = OPEN_BLOCKS) -> Any:
        return self.visual
