"""Value-to-value attention beside the plain path, without FFN, summed from some block on."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.types import OPEN_BLOCKS

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["ByValue"]


class ByValue(Tap):
    """A sum of a_n = proj(softmax(V V^T / sqrt(d)) V), where V are the values that block n makes of its input.

    The patches go through ln_post and the projection, (P, D), unless a subclass says otherwise.
    """

    @abstractmethod
    def start(self, tower: TowerSpec, part: Part) -> int:
        """The first block whose a_n counts; below 1 where there is none."""

    def wants(self, part: Part) -> tuple[str, ...]:
        return (OPEN_BLOCKS,)

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (tower.patches, tower.joint) if 1 <= self.start(tower, part) <= part.index <= tower.depth else None

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        return range(self.start(tower, part), part.index + 1)

    def carry(self, sight: Sight, carried: Any) -> Any:
        """The plain tokens before the first block, and what the values add from there on."""
        return (sight.before if carried is None else carried) + sight.by_value

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.project(carried[:, 1:])
