"""What stands on the shelf `taps`: a way through the image tower, known in one place. Importing it brings no torch."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from stackclip.types import CLASS_TOKEN, OPEN_BLOCKS

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["Tap"]


class Tap(ABC):
    """A way through the image tower: the parts `NAME/INDEX`, where NAME is what it is registered as.

    A part says at which `blocks` the way looks, and the shape of what it gives. The tower is walked through once for
    all parts that are asked for: at each of those blocks `carry` is called, and at the last of them `read`. What is
    seen there is shared with the other ways, so nothing may be written into it; nothing is kept on the tap either.

    `source` says whose way it is: the paper, its equation, or the code. `numbered` is for a family of ways, whose
    parts have a number behind the name: `vv-from2/24` is of the tap `vv-from`. `from_0` writes `NAME/0`, not `NAME`.
    """

    source: str = ""
    numbered: bool = False
    from_0: bool = False

    def wants(self, part: Part) -> tuple[str, ...]:
        """What a tower must have for it, of what `stackclip.types` names; here all, as every CLIP of ViTs has it."""
        return (CLASS_TOKEN, OPEN_BLOCKS)

    @abstractmethod
    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        """The shape of the part of one picture, or None where this tower does not have it."""

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        """The blocks at which it looks, one after the other; 0 is what lies before the first. Of a part `NAME/N`: N."""
        return range(part.index, part.index + 1)

    def carry(self, sight: Sight, carried: Any) -> Any:
        """What is carried on from this block to the next; `carried` comes from the block before, None at the first.

        Parts of one name that begin at the same block share it.
        """
        return None

    @abstractmethod
    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        """The part (B, *shape) at the last of its blocks, where `carried` is what `carry` has just given."""

    @staticmethod
    def number(part: Part) -> int | None:
        """The number behind the name of a numbered tap: 2 of `vv-from2/24`. None where there is none from 1 up."""
        found = re.fullmatch(r".*?\D([1-9]\d*)(~.*)?", part.kind)
        return int(found[1]) if found else None
