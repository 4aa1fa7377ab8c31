"""Learned tokens in a frozen tower: in front of all others, or in its layers, some of which the picture makes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stackclip.clip.image import ImageTower
from stackclip.heads.projections import draw_linear, empty_linear
from stackclip.learners.prompt import SPREAD

__all__ = ["FrontTokens", "PromptTokens"]

_FRONT_SPREAD = 0.1  # of front tokens at the start, times C^-.5: a tenth of CLIP's class token, as released


class FrontTokens(nn.Module):
    """`count` learned tokens (C,) that enter an image tower as its class token does, in front of it (VisualAD).

    All have the class token's position, so in which order they stand changes nothing.
    """

    def __init__(self, count: int, *, width: int, draws: torch.Generator) -> None:
        super().__init__()
        spread = _FRONT_SPREAD * width**-0.5
        self.each = nn.ParameterList(nn.Parameter(spread * torch.randn(width, generator=draws)) for _ in range(count))

    def forward(self, image: ImageTower) -> Tensor:
        """The tokens (T, C) that the first block reads."""
        return image.enter(torch.stack(tuple(self.each)))


class PromptTokens(nn.Module):
    """`count` tokens of a tower's `width` in each of its `layers` (1-based): static ones plus dynamic ones (AdaCLIP).

    The static tokens of a layer begin as noise; the dynamic ones are a linear function of the raw class token of the
    plain tower, one set for all layers. With `half` the sum is rounded to float16. The parameters are `static.N` (T, W)
    and those of `dynamic`, Linear(D -> T W), drawn from the generator.
    """

    def __init__(
        self, layers: Sequence[int], *, count: int, width: int, joint: int, half: bool, draws: torch.Generator
    ) -> None:
        super().__init__()
        self.layers, self.count, self.half_tokens = tuple(layers), count, half
        self.static = nn.ParameterList(
            nn.Parameter(SPREAD * torch.randn(count, width, generator=draws)) for _ in self.layers
        )
        self.dynamic = empty_linear(joint, count * width)
        draw_linear(self.dynamic, draws)

    def forward(self, cls: Tensor) -> dict[int, Tensor]:
        """The tokens (T, W) of each layer for a picture with the raw class token `cls` (D,)."""
        dynamic = self.dynamic(cls).reshape(self.count, -1)  # (T, W)
        found = {layer: dynamic + static for layer, static in zip(self.layers, self.static, strict=True)}
        return {layer: each.half().to(each) for layer, each in found.items()} if self.half_tokens else found
