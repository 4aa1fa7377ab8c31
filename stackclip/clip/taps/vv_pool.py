"""Value-to-value attention in the pool of a ResNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps
from stackclip.types import GRID_POOL

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["PoolByValue"]


@taps.register("vv-pool")
class PoolByValue(Tap):
    """`vv-pool/N`, N the last block: the patches of the attention pool, its values queries and keys as well, (P, D)."""

    source = "CLIP-AD, supplement C: its surgery of a ResNet"

    def wants(self, part: Part) -> tuple[str, ...]:
        return (GRID_POOL,)

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.joint) if part.index == tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.pool_by_value
