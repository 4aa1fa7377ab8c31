"""The v-v path of CLIP-AD, begun anew at each quarter of the blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.taps._by_value import ByValue
from stackclip.registry import taps

if TYPE_CHECKING:
    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["QuarterPath"]


@taps.register("vv-stage")
class QuarterPath(ByValue):
    """`vv-stage/N`: the v-v attention of the quarter of the blocks that ends at N, summed, (P, D)."""

    source = "CLIP-AD, equations 8 and 9"

    def start(self, tower: TowerSpec, part: Part) -> int:
        return part.index - tower.depth // 4 + 1 if tower.depth % 4 == 0 and part.index % (tower.depth // 4) == 0 else 0

    def carry(self, sight: Sight, carried: Any) -> Any:
        """The sum alone."""
        return sight.by_value if carried is None else carried + sight.by_value
