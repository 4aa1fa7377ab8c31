"""Taps that the code of CLIP-AD, and that of PromptAD, writes into by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["ReleasedClassToken", "ReleasedPatches"]


class _Released(Tap):
    """x_N plus the attention that block N + 1 adds to it."""

    source = "the released code of CLIP-AD and of PromptAD, which changes its taps in place"

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        return range(part.index + 1, part.index + 2)

    def mutated(self, sight: Sight) -> Tensor:
        """All tokens (B, 1 + P, C)."""
        return sight.before + sight.attended


@taps.register("patch-released")
class ReleasedPatches(_Released):
    """`patch-released/N`: the patches after block N plus the attention that block N + 1 adds to them, (P, C)."""

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.width) if 1 <= part.index < tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return self.mutated(sight)[:, 1:]


@taps.register("cls-released")
class ReleasedClassToken(_Released):
    """`cls-released/N`: the class token after block N plus what block N + 1 adds to it, ln_post and projected, (D,)."""

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.joint,) if 1 <= part.index < tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.project(self.mutated(sight)[:, 0])
