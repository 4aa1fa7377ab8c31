"""The v-v path from any block on: AnomalyCLIP's, projected, and others, raw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.taps._by_value import ByValue
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["FromAny", "FromSix"]


@taps.register("vv-from6")
class FromSix(ByValue):
    """`vv-from6/N`: the plain tokens after block 5 plus the v-v attention of blocks 6 to N, (P, D)."""

    source = "AnomalyCLIP"

    def start(self, tower: TowerSpec, part: Part) -> int:
        return 6


@taps.register("vv-from")
class FromAny(ByValue):
    """`vv-fromS/N`: the plain tokens before block S plus the v-v attention of blocks S to N, raw, (P, C).

    Neither ln_post nor the projection is applied, but to `vv-from6/N`, which is AnomalyCLIP's and older.
    """

    source = "MRAD (vv-from2/24), PromptAD (vv-from1/12)"
    numbered = True

    def start(self, tower: TowerSpec, part: Part) -> int:
        return self.number(part) or 0

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.width) if super().shape(tower, part) else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        patches: Tensor = carried[:, 1:]
        return patches
