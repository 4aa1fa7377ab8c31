"""A head in one file: what is trained on cached patch tokens so that text can be compared with them.

The class on the shelf is a recipe: options, the parts that are read, and `build`. What it builds is an `nn.Module`.

Try it:

    stackclip check one-layer
    stackclip bench --methods "precise,precise[head=one-layer]"
    stackclip bench --methods "stacked[head=one-layer[temperature=0.05]]"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stackclip.ops.losses import segmentation_loss
from stackclip.ops.maps import pixels, unit
from stackclip.registry import heads
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, TowerSpec


@heads.register("one-layer")
@dataclass(frozen=True, kw_only=True)
class OneLayer:
    """One linear layer for the patch tokens of all tapped blocks, where APRIL-GAN's head has one for each.

    `temperature` divides the cosines; 0.01 is CLIP's own.
    """

    temperature: float = 0.01

    weighting = "test-prompt"  # the text that the weights of several stacks come from; no annotation: no option

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The parts that it reads: the taps, and the class token for the weights. MASK comes by itself."""
        return frozenset({*tower.taps, CLS})

    def build(self, tower: TowerSpec, stacks: int, *, seed: int) -> nn.Module:
        """A new head; `stacks` is K, for heads that have something for each."""
        return OneLayerModule(tower, temperature=self.temperature, seed=seed)


class OneLayerModule(nn.Module):
    """The layer at work. Letters: B pictures, P patches, C width, D joint width, K stacks."""

    def __init__(self, tower: TowerSpec, *, temperature: float, seed: int) -> None:
        super().__init__()
        self.taps, self.frame, self.temperature = tower.taps, tower.frame, temperature
        draws = torch.Generator().manual_seed(seed)  # torch's global state is left alone
        self.weight = nn.Parameter(torch.randn(tower.joint, tower.width, generator=draws) * tower.width**-0.5)  # (D, C)

    def loss(self, features: Features, anchors: Tensor, stacks: Tensor) -> Tensor:
        """A scalar with gradients; anchors (B, 2, D) are those of each picture's own stack, `stacks` (B,) which one."""
        masks = features[MASK].to(anchors)  # (B, H, W)
        terms = [segmentation_loss(logits[:, 0], masks) for logits in self._logits(features, anchors[:, None])]
        return torch.stack(terms).sum()

    def weights(self, features: Features, keys: Tensor) -> Tensor:
        """How much each stack counts for each picture, (B, K), rows sum to 1: by the class token and keys (B, K, D)."""
        return torch.softmax((unit(features[CLS])[:, None] * keys).sum(-1), dim=1)

    def maps(self, features: Features, anchors: Tensor, weights: Tensor) -> Tensor:
        """Maps (B, H, W) under anchors (B, K, 2, D): the sum over taps, weighed over stacks."""
        maps = sum(torch.sigmoid(logits) for logits in self._logits(features, anchors))  # (B, K, H, W)
        return (weights[:, :, None, None] * maps).sum(1)

    def _logits(self, features: Features, anchors: Tensor) -> Iterator[Tensor]:
        """For each tap the logits of ANOMALOUS against NORMAL at every pixel: (B, K, H, W)."""
        directions = anchors[:, :, ANOMALOUS] - anchors[:, :, NORMAL]  # (B, K, D)
        for part in self.taps:
            tokens = unit(features[part] @ self.weight.mT)  # (B, P, D)
            yield pixels(directions @ tokens.mT / self.temperature, self.frame)
