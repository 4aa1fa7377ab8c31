"""The image feature: in CLIP the class token, read as CLIP reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps
from stackclip.types import CLASS_TOKEN

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["ClassToken"]


@taps.register("cls")
class ClassToken(Tap):
    """The image feature (D,) as the model gives it, not normalised, however it is pooled.

    In CLIP that is the class token after ln_post and the projection; `cls/N` is the class token behind block N so read.
    """

    source = "CLIP (Radford et al. 2021)"

    def wants(self, part: Part) -> tuple[str, ...]:
        return (CLASS_TOKEN,) if part.index else ()

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.joint,) if 0 <= part.index <= tower.depth else None

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        layer = part.index or tower.depth
        return range(layer, layer + 1)

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        if part.index not in (0, sight.make.depth):
            return sight.project(sight.after[:, 0])
        return sight.feature
