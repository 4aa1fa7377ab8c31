"""The patch tokens of the plain path, read like the class token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps
from stackclip.types import SINGLE_PATCHES

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["JointPatches"]


@taps.register("joint")
class JointPatches(Tap):
    """`joint/N`: the patches after block N through ln_post and the projection, as the class token is read, (P, D)."""

    source = "CLIP-AD, its table 7; the plain path of AnomalyCLIP"

    def wants(self, part: Part) -> tuple[str, ...]:
        return (SINGLE_PATCHES,)

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.joint) if 1 <= part.index <= tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.project(sight.patches)
