"""Value-to-value attention inside the tower: residuals and FFN stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["Surgery"]

_FIRST = 6  # the release replaces blocks 6 to 24 of 24


@taps.register("surgery")
class Surgery(Tap):
    """`surgery/N`: the patches, projected, of a tower whose blocks 6 to N attend by their values, (P, D).

    Unlike the v-v paths it is a residual stream of its own: each of its blocks reads what the one before it made, adds
    the v-v attention of that, then its FFN.
    """

    source = "AA-CLIP, stage 1; attention over the tokens of a picture, where the release attends over the batch"

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.joint) if _FIRST <= part.index <= tower.depth else None

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        return range(_FIRST, part.index + 1)

    def carry(self, sight: Sight, carried: Any) -> Any:
        """All tokens behind this block of the changed tower (B, 1 + P, C)."""
        from stackclip.clip.attention import attend_by_value

        block, hidden = sight.block, sight.before if carried is None else carried
        hidden = hidden + attend_by_value(block, hidden)
        return hidden + block.ls_2(block.mlp(block.ln_2(hidden)))

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.project(carried[:, 1:])
