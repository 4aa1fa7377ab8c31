"""All tokens at one place of the tower: where what is trained inside it goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["Hidden"]


@taps.register("hidden")
class Hidden(Tap):
    """`hidden/N`: all tokens after block N, class token first, before ln_post, (1 + P, C); `hidden/0` is behind ln_pre.

    A tower with adapters or tokens of its own behind block N can be trained from here on without pixels
    (`stackclip.clip.ImageTower.resume`).
    """

    source = "AA-CLIP (hidden/1), AdaCLIP and VisualAD (hidden/0), AF-CLIP (its taps)"
    from_0 = True

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (1 + tower.patches, tower.width) if 0 <= part.index <= tower.depth else None

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        return sight.after
