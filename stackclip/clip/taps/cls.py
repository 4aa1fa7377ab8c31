"""The class token, read as CLIP reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["ClassToken"]


@taps.register("cls")
class ClassToken(Tap):
    """The class token (D,) after ln_post and the projection, not normalised: CLIP's image feature; `cls/N` after N."""

    source = "CLIP (Radford et al. 2021)"

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.joint,) if 0 <= part.index <= tower.depth else None

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        layer = part.index or tower.depth
        return range(layer, layer + 1)

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.project(sight.after[:, 0])
