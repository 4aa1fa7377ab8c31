"""Ten crops of the enlarged picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["Crops"]

_ENLARGED = 9 / 8  # 240 to 270 pixels


@taps.register("crop")
class Crops(Tap):
    """`crop/10`: the class tokens of the four corners and the centre of the enlarged picture, then of their mirrors.

    The prepared picture is enlarged by 9/8, not the file. (10, D)
    """

    source = "CLIP-AD, its supplement"

    def wants(self, part: Part) -> tuple[str, ...]:
        return ()

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        return (10, tower.joint) if part.index == 10 else None

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        """What lies before the first: crops pass the tower by themselves."""
        return range(1)

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        import torch
        import torch.nn.functional as F

        height, width = sight.pictures.shape[-2:]
        large = round(height * _ENLARGED), round(width * _ENLARGED)
        enlarged = F.interpolate(sight.pictures, size=large, mode="bicubic", antialias=True)
        down, right = large[0] - height, large[1] - width
        corners = ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2))
        crops = torch.stack([enlarged[..., top : top + height, left : left + width] for top, left in corners], dim=1)
        crops = torch.cat([crops, crops.flip(-1)], dim=1)
        return torch.stack([sight.make.whole(each) for each in crops])  # one picture's ten at a time
