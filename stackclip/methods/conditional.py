"""Prompts whose learned context is moved by the picture: a small network gives each picture a shift of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stackclip.errors import BadOption
from stackclip.heads.projections import draw_linear, empty_linear
from stackclip.learners import TextTower
from stackclip.learners.prompt import SPREAD
from stackclip.methods.endings import Endings, endings_of

__all__ = ["ConditionalPrompts"]

_NARROWER = 16  # the hidden layer by the joint width; CoCoOp, section 3.2


class ConditionalPrompts(nn.Module):
    """Prompts "[v1(x)] ... [vE(x)] words", where v(x) = v + meta(x) for the unit class token x of a picture (CoCoOp).

    `words` are those that begin the context, one token for each of its vectors; without them it begins as noise. The
    parameters are `context` (E, W) and those of `meta`, Linear(D -> D / 16), ReLU, Linear(-> W), drawn from the seed.

    Raises BadOption for words that are not E tokens.
    """

    def __init__(self, text: TextTower, joint: int, *, context: int, words: str | None, seed: int) -> None:
        super().__init__()
        self.text = text
        with torch.no_grad():
            begun = text.embed_tokens(text.tokenize([words or ""])).clone()[0, 1:-1]  # (T, W)
        width, draws = begun.shape[-1], torch.Generator().manual_seed(seed)
        if words is None:
            begun = (SPREAD * torch.randn(context, width, generator=draws)).to(begun)
        elif len(begun) != context:
            raise BadOption(f"context={context}, but {words!r} has {len(begun)} tokens; add begin_as=noise")
        hidden = max(1, joint // _NARROWER)
        self.context = nn.Parameter(begun)
        self.meta = nn.Sequential(empty_linear(joint, hidden), nn.ReLU(), empty_linear(hidden, width))
        draw_linear(self.meta, draws)
        self.meta.to(begun)

    def endings(self, phrases: Sequence[str]) -> Endings:
        """Phrases as they stand behind the context. Raises NotApplicable for one that leaves no room for it."""
        return endings_of(self.text, phrases, context=len(self.context))

    def embedded(self, cls: Tensor, endings: Endings) -> Tensor:
        """The prompts of each picture as the text tower reads them, without positions: (B, N, E + L, W).

        `cls` (B, D) are unit class tokens.
        """
        context = self.context + self.meta(cls)[:, None]  # (B, E, W)
        pictures, prompts = len(cls), len(endings.ends)
        start, words = (each.expand(pictures, -1, -1, -1) for each in (endings.start, endings.words))
        return torch.cat([start, context[:, None].expand(-1, prompts, -1, -1), words], dim=2)

    def forward(self, cls: Tensor, endings: Endings) -> Tensor:
        """Raw text features of the prompts of each picture: (B, N, D)."""
        embedded = self.embedded(cls, endings)
        pictures, prompts = embedded.shape[:2]
        features = self.text.encode_embedded(embedded.flatten(0, 1), endings.ends.repeat(pictures))  # (B N, D)
        return features.reshape(pictures, prompts, -1)
