"""Neighbour attention of one block: a patch attends to what is like it and lies near it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["JointNear", "Near"]

_SPREAD = 5.0  # standard deviation of the Gaussian, in patches; NACLIP


@taps.register("near")
class Near(Tap):
    """`near/N`: the patches of proj(softmax(K K^T / sqrt(d) + G) V) of block N, without residual and FFN, raw, (P, C).

    G is a Gaussian of the distance of two patches on the grid, of standard deviation 5 and height 1; the class token
    has none, but to itself.
    """

    source = "NACLIP, reduced architecture; CLIP-LAD takes near/24 for its fourth tap"

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.grid**2, tower.width) if 1 <= part.index <= tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return _attend_near(sight)


@taps.register("near-joint")
class JointNear(Near):
    """`near-joint/N`: `near/N` through ln_post and the projection, as the class token is read, (P, D)."""

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.grid**2, tower.joint) if 1 <= part.index <= tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.project(_attend_near(sight))


def _attend_near(sight: Sight) -> Tensor:
    """The patches (B, P, C)."""
    from stackclip.clip.attention import attend, projected

    keys, values = projected(sight.block, sight.block.ln_1(sight.before), "kv")
    return attend(sight.block, keys, keys, values, _nearness(keys))[:, 1:]


def _nearness(keys: Tensor) -> Tensor:
    """The Gaussian of the distance of each two tokens, (1 + P, 1 + P), of as many as there are keys (B, 1 + P, C)."""
    import torch

    grid = round((keys.shape[1] - 1) ** 0.5)
    line = torch.arange(grid, device=keys.device)
    squares = (line[:, None] - line) ** 2  # (grid, grid)
    apart = (squares[:, None, :, None] + squares[None, :, None, :]).reshape(grid**2, grid**2)
    near = torch.eye(1 + grid**2, device=keys.device)
    near[1:, 1:] = torch.exp(-apart / (2 * _SPREAD**2))
    return near.to(keys.dtype)
