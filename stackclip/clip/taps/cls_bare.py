"""The class token as AnomalyCLIP reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["BareClassToken"]


@taps.register("cls-bare")
class BareClassToken(Tap):
    """The class token (D,) of the last block, projected without ln_post."""

    source = "the released code of AnomalyCLIP"

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.joint,) if part.index == 0 else None

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        return range(tower.depth, tower.depth + 1)

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        found: Tensor = sight.after[:, 0] @ sight.visual.proj
        return found
