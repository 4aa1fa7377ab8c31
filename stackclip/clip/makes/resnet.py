"""The ResNets of CLIP, whose last stage is pooled by attention."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.clip.makes.make import Make
from stackclip.clip.walk import Step
from stackclip.errors import NotApplicable
from stackclip.sizes import Size, size_of
from stackclip.types import CLASS_TOKEN, OPEN_BLOCKS

__all__ = ["OpenResNet", "make_room"]


class OpenResNet(Make):
    """open_clip's ModifiedResNet: the blocks of its last stage, which share a grid of 32 pixels and a width."""

    lacks = (CLASS_TOKEN, OPEN_BLOCKS)

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        height, width = size_of(visual.image_size)
        self.grid, self.depth = Size(height // 32, width // 32), len(visual.layer4)
        self.width, self.joint = visual.attnpool.v_proj.in_features, visual.output_dim

    def steps(self, pictures: Tensor, layers: Collection[int]) -> Iterator[Step]:
        """Step 0, which are the stages before the last, then a step for each block of that; tokens are (B, C, h, w)."""
        visual = self.visual
        stages = nn.Sequential(visual.layer1, visual.layer2, visual.layer3)
        step = Step(0, pictures, lambda seen: stages(visual.stem(seen)))
        yield step
        for layer, block in enumerate(visual.layer4, start=1):
            step = Step(layer, step.after, block)
            yield step

    def patches(self, step: Step) -> Tensor:
        return step.after.flatten(2).transpose(1, 2)

    def feature(self, step: Step) -> Tensor:
        pooled: Tensor = self.visual.attnpool(step.after)
        return pooled

    def pool_by_value(self, step: Step) -> Tensor:
        pool, patches = self.visual.attnpool, self.patches(step)
        tokens = torch.cat([patches.mean(1, keepdim=True), patches], dim=1) + pool.positional_embedding.to(
            patches.dtype
        )
        values = torch.unflatten(pool.v_proj(tokens), -1, (pool.num_heads, -1)).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(values, values, values)  # (B, heads, 1 + P, C / heads)
        joint: Tensor = pool.c_proj(mixed.transpose(1, 2).flatten(2))
        return joint[:, 1:]

    def alone(self, tokens: Tensor) -> Tensor:
        """What the attention pool makes of one token without a place: its value, projected."""
        joint: Tensor = self.visual.attnpool.c_proj(self.visual.attnpool.v_proj(tokens))
        return joint

    def norm(self, tokens: Tensor) -> Tensor:
        raise NotApplicable("it reads patches behind a last norm, and a ResNet of CLIP has none")


def make_room(visual: Any, size: Size) -> None:
    """Give an empty ModifiedResNet for pictures of a size, which open_clip makes for squares, its positions."""
    pool, visual.image_size = visual.attnpool, size
    places = OpenResNet(visual).grid.area
    pool.positional_embedding = nn.Parameter(torch.empty(1 + places, pool.positional_embedding.shape[1]))
