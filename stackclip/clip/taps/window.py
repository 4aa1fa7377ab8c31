"""Windows of patches, each seen alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.clip.tap import Tap
from stackclip.registry import taps

if TYPE_CHECKING:
    from torch import Tensor

    from stackclip.clip.sight import Sight
    from stackclip.types import Part, TowerSpec

__all__ = ["Windows"]


@taps.register("window")
class Windows(Tap):
    """`window/K`: the class token of each window of K x K patches seen alone, row-major, stride 1: (windows, D).

    Its tokens are chosen before ln_pre, with their positions in the picture.
    """

    source = "WinCLIP"

    def shape(self, tower: TowerSpec, part: Part) -> tuple[int, ...] | None:
        side, (rows, columns) = part.index, tower.frame.grid
        count = (rows - side + 1) * (columns - side + 1)
        return (count, tower.joint) if 2 <= side <= min(rows, columns) else None

    def blocks(self, tower: TowerSpec, part: Part) -> range:
        """What lies before the first: windows pass the blocks by themselves."""
        return range(1)

    def read(self, sight: Sight, part: Part, carried: Any) -> Tensor:
        """All windows of a picture as one batch."""
        import torch

        from stackclip.clip.walk import walk
        from stackclip.ops.windows import window_patches

        embedded = sight.before  # (B, 1 + P, C)
        patches = 1 + window_patches(sight.make.grid, part.index).to(embedded.device)  # behind the class token
        first = torch.zeros(len(patches), 1, dtype=patches.dtype, device=patches.device)
        tokens = embedded[:, torch.cat([first, patches], dim=1)]  # (B, windows, 1 + K * K, C)
        transformer = sight.visual.transformer
        for step in walk(transformer, sight.visual.ln_pre(tokens.flatten(0, 1))):
            hidden = step.before  # of the last block, which reads class tokens alone
        return sight.project(_read_class_token(transformer.resblocks[-1], hidden)).view(*tokens.shape[:2], -1)


def _read_class_token(block: Any, hidden: Tensor) -> Tensor:
    """What a block makes of the class token: (B, C). The others give keys and values, and are not carried on."""
    from stackclip.clip.attention import attend, projected

    normed = block.ln_1(hidden)
    (query,) = projected(block, normed[:, :1], "q")
    keys, values = projected(block, normed, "kv")
    first = hidden[:, :1] + attend(block, query, keys, values)
    result: Tensor = (first + block.ls_2(block.mlp(block.ln_2(first))))[:, 0]
    return result
