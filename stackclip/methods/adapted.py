"""The two towers with what AA-CLIP puts into them: text as anchors, cached tokens as patches and a picture's token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.clip.image import ImageTower
from stackclip.errors import NotApplicable
from stackclip.heads.adapters import SLOPE, ResidualAdapters, xavier_linear
from stackclip.learners import TextTower
from stackclip.ops.maps import unit
from stackclip.types import TowerSpec

__all__ = ["AdaptedImage", "AdaptedTaps", "AdaptedText"]

_TEXT_BLOCKS = 3  # the first so many have adapters, as released
_IMAGE_BLOCKS = 6


class AdaptedText(nn.Module):
    """A text tower with adapters behind its first blocks and a projection of its own, from a random start."""

    def __init__(self, text: TextTower, joint: int, *, draws: torch.Generator) -> None:
        super().__init__()
        self.text = text
        width = text.embed_tokens(torch.zeros(1, 1, dtype=torch.long)).shape[-1]
        self.adapters = ResidualAdapters(width, range(1, min(_TEXT_BLOCKS, text.text_depth) + 1), draws=draws)
        self.projection = xavier_linear(width, joint, draws=draws)

    def forward(self, phrases: Sequence[str], *, adapted: bool = True) -> Tensor:
        """Raw text features (N, D) of phrases; those of the frozen tower if not `adapted`."""
        ids = self.text.tokenize(phrases)
        with torch.no_grad():
            embedded = self.text.embed_tokens(ids)
        ends = ids.argmax(1).to(embedded.device)
        if not adapted:
            return self.text.encode_embedded(embedded, ends)
        return self.text.encode_embedded(embedded, ends, after=self.adapters.behind(), project=self._project)

    def _project(self, pooled: Tensor) -> Tensor:
        return F.leaky_relu(self.projection(pooled), SLOPE)


class AdaptedImage(nn.Module):
    """An image tower from block 2 on with adapters behind its first blocks, and linear layers on its taps.

    Without the tower it is these layers alone, to see whether weights fit them.
    """

    def __init__(self, image: ImageTower | None, tower: TowerSpec, *, draws: torch.Generator) -> None:
        super().__init__()
        self.image, self.layers = image, tower.layers
        self.adapters = ResidualAdapters(tower.width, self.adapted(tower), draws=draws)
        self.segmentation = nn.ModuleList(xavier_linear(tower.width, tower.joint, draws=draws) for _ in tower.layers)
        self.detection = xavier_linear(tower.width, tower.joint, draws=draws)

    @staticmethod
    def adapted(tower: TowerSpec) -> Sequence[int]:
        """The blocks that have an adapter behind them."""
        return range(1, min(_IMAGE_BLOCKS, tower.depth) + 1)

    @property
    def live(self) -> ImageTower:
        """The tower itself. Raises NotApplicable where there is none."""
        if self.image is None:
            raise NotApplicable("there is no live image tower here")
        return self.image

    def forward(self, *seen: Tensor) -> tuple[Tensor, Tensor]:
        """Unit patches (K, B, P, D) of K taps and a token (B, D) of each picture, of what `taps` takes."""
        taps = self.taps(*seen)
        patches = torch.stack([unit(layer(tap)) for layer, tap in zip(self.segmentation, taps, strict=True)])
        return patches, unit(self.detection(taps[-1])).mean(1)  # not made a unit again

    def taps(self, *seen: Tensor) -> list[Tensor]:
        """The patches (B, P, C) behind each tap and ln_post, of `hidden/1` (B, 1 + P, C)."""
        start = self.adapters["1"](*seen)
        found = self.live.resume(start, 2, stops=self.layers, after=self.adapters.behind(2))
        return [self.live.norm(found[layer][:, 1:]) for layer in self.layers]


class AdaptedTaps(AdaptedImage):
    """The taps as they leave the frozen tower, each with an adapter of its own and a linear layer: no block runs."""

    @staticmethod
    def adapted(tower: TowerSpec) -> Sequence[int]:
        """The tapped blocks."""
        return tower.layers

    def taps(self, *seen: Tensor) -> list[Tensor]:
        """The patches (B, P, C) behind each tap, its adapter and ln_post, of the taps (B, P, C)."""
        return [self.live.norm(self.adapters[str(layer)](tap)) for layer, tap in zip(self.layers, seen, strict=True)]
