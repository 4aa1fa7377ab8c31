"""AA-CLIP without its tower: adapters on cached taps, an approximation that trains and tests in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from stackclip.clip.image import ImageTower
from stackclip.errors import BadOption
from stackclip.methods.aa_clip import AaClip
from stackclip.methods.adapted import AdaptedTaps
from stackclip.registry import methods
from stackclip.types import Part, TowerSpec

__all__ = ["AaClipCached"]


@methods.register("aa-clip-cached")
@dataclass(frozen=True, kw_only=True)
class AaClipCached(AaClip):
    """AA-CLIP approximated on cached taps: the image tower stays as it is, so no block of it runs.

    An adapter on each tap stands for those behind blocks 1 to 6, whose effect the later blocks would see; text side,
    linear layers, losses and schedules are those of `aa-clip`. So are `variant`, `text_epochs`, `text_lr`, `text_loss`,
    `surgery`, `epochs`, `lr`, `image_score`, `augment`, `views`, `text_weights` and `class_names`. `weights` are
    refused: the released image adapters are `aa-clip`'s (docs/decisions/0037).
    """

    def __post_init__(self) -> None:
        """Raise BadOption for weights of adapters that it does not have, and what `aa-clip` raises."""
        if self.weights is not None:
            raise BadOption("weights= are of adapters between the tower's blocks: give them to aa-clip")
        super().__post_init__()

    def seen(self, tower: TowerSpec) -> tuple[Part, ...]:
        """The taps."""
        return tower.taps

    def adapted(self, image: ImageTower | None, tower: TowerSpec, *, draws: torch.Generator) -> AdaptedTaps:
        """An adapter and a linear layer for each tap."""
        return AdaptedTaps(image, tower, draws=draws)
