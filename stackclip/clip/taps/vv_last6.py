"""The v-v path of CLIP Surgery, beside the last six blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackclip.clip.taps._by_value import ByValue
from stackclip.registry import taps

if TYPE_CHECKING:
    from stackclip.types import Part, TowerSpec

__all__ = ["LastSix"]


@taps.register("vv-last6")
class LastSix(ByValue):
    """`vv-last6/N`: the plain tokens before the last six blocks plus their v-v attention up to block N, (P, D)."""

    source = "CLIP Surgery"

    def start(self, tower: TowerSpec, part: Part) -> int:
        return tower.depth - 5
