"""The patch tokens of the plain path, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["Patches"]


@taps.register("patch")
class Patches(Tap):
    """`patch/N`: the residual stream after block N without its class token and without ln_post, (P, C)."""

    source = "APRIL-GAN, whose linear heads read four of them"

    def wants(self, part: Part) -> tuple[str, ...]:
        return ()

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.width) if 1 <= part.index <= tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.patches
