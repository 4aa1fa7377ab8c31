"""Neighbour attention of one block: a patch attends to what is like it and lies near it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps
from stackclip.types import OPEN_BLOCKS, SINGLE_PATCHES

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["JointNear", "Near", "SpreadJointNear", "SpreadNear"]

_SPREAD = 5  # standard deviation of the Gaussian, in patches; NACLIP


@taps.register("near")
class Near(Tap):
    """`near/N`: the patches of proj(softmax(K K^T / sqrt(d) + G) V) of block N, without residual and FFN, raw, (P, C).

    G is a Gaussian of the distance of two patches on the grid, of standard deviation 5 and height 1; the class token
    has none.
    """

    source = "NACLIP, reduced architecture; CLIP-LAD takes near/24 for its fourth tap"

    def spread(self, part: Part) -> int:
        """The standard deviation of G, in patches."""
        return self.number(part) or 0 if self.numbered else _SPREAD

    def wants(self, part: Part) -> tuple[str, ...]:
        return (OPEN_BLOCKS,)

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        there = 1 <= part.index <= tower.depth and self.spread(part)
        return (tower.patches, tower.width) if there else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        from stackclip.clip.attention import attend_near

        return attend_near(sight.block, sight.before, sight.make.grid, self.spread(part))[:, 1:]


@taps.register("near-joint")
class JointNear(Near):
    """`near-joint/N`: `near/N` through ln_post and the projection, as the class token is read, (P, D)."""

    def wants(self, part: Part) -> tuple[str, ...]:
        return (OPEN_BLOCKS, SINGLE_PATCHES)

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.joint) if super().shape(tower, part) else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.project(super().read(sight, part, carried))


@taps.register("near-std")
class SpreadNear(Near):
    """`near-stdS/N`: `near/N` with a Gaussian of standard deviation S."""

    numbered = True


@taps.register("near-joint-std")
class SpreadJointNear(JointNear):
    """`near-joint-stdS/N`: `near-joint/N` with a Gaussian of standard deviation S."""

    numbered = True
