"""Image towers of timm, as open_clip wraps them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stackclip.clip.makes.make import Make
from stackclip.clip.walk import Step
from stackclip.errors import NotApplicable, UsageError
from stackclip.sizes import Size
from stackclip.types import CLASS_TOKEN, GRID_POOL, OPEN_BLOCKS, SINGLE_PATCHES

__all__ = ["Timm", "fill_buffers", "resize_to", "timm_sizes"]

_ALONE_AT_ONCE = 8192  # tokens that are pooled alone


class _Seen(Step):
    """A block of a timm model that has run: the tokens behind it, and what makes the image feature."""

    def __init__(self, layer: int, tokens: Tensor, pool: Callable[[], Tensor] | None = None) -> None:
        super().__init__(layer, tokens, lambda same: same)
        self.pool = pool


class Timm(Make):
    """A model of timm in open_clip's TimmModel, seen through its `forward_intermediates`.

    A ViT has all its blocks. Of a tower whose stages have grids of their own the last stage counts as its one block.
    """

    def __init__(self, visual: Any) -> None:
        self.visual, self.trunk = visual, visual.trunk
        stages = self.trunk.feature_info
        self.is_flat = hasattr(self.trunk, "blocks")
        self.depth = len(stages) if self.is_flat else 1
        self._shift = len(stages) - self.depth - 1  # from a block, 1-based, to timm's index
        self.grid = Size(*self.trunk.patch_embed.grid_size) if self.is_flat else _of_last_stage(visual)
        self.width, self.joint = stages[-1]["num_chs"], _joint_of(visual)
        self._by_token = self.is_flat and self.trunk.global_pool == "token"
        self.lacks = () if self._by_token else (CLASS_TOKEN, GRID_POOL)
        self.lacks += (OPEN_BLOCKS,) if self.is_flat else (OPEN_BLOCKS, SINGLE_PATCHES)

    def steps(self, pictures: Tensor, layers: Collection[int]) -> Iterator[Step]:
        """Step 0, which has no tokens, then a step for each of `layers`; the picture is seen once."""
        yield _Seen(0, pictures.new_empty(len(pictures), 0, self.width))
        wanted = sorted(set(layers) - {0})
        if not wanted:
            return
        whole = wanted[-1] == self.depth
        found = self.trunk.forward_intermediates(
            pictures,
            indices=[layer + self._shift for layer in wanted],
            intermediates_only=not whole,
            stop_early=not whole,
            output_fmt="NCHW",
            **({"return_prefix_tokens": True} if self._by_token else {}),
        )
        last, maps = found if whole else (None, found)
        for layer, each in zip(wanted, maps, strict=True):
            yield _Seen(layer, self._tokens(each), None if last is None else partial(self._pooled, last))

    def _tokens(self, seen: Any) -> Tensor:
        """The patches (B, P, C) of what timm gives of a block, behind the class token where that is the image feature.

        Registers, and a class token that is not, are left out.
        """
        if not self._by_token:
            rows: Tensor = seen.flatten(2).transpose(1, 2)
            return rows
        patches, prefix = seen
        return torch.cat([prefix[:, :1], patches.flatten(2).transpose(1, 2)], dim=1)

    def _pooled(self, last: Tensor) -> Tensor:
        pooled: Tensor = self.visual.head(self.trunk.forward_head(last))
        return pooled

    def patches(self, step: Step) -> Tensor:
        return step.after[:, 1:] if self._by_token else step.after

    def feature(self, step: Step) -> Tensor:
        pool = step.pool if isinstance(step, _Seen) and step.layer == self.depth else None
        if pool is None:
            raise NotApplicable(f"the image feature is read behind block {self.depth}, not {step.layer}")
        return pool()

    def alone(self, tokens: Tensor) -> Tensor:
        rows = self.norm(tokens).reshape(-1, 1, self.width)
        if getattr(self.trunk, "attn_pool", None) is None:
            rows = rows[:, 0]
        else:
            rows = torch.cat([self.trunk.attn_pool(some) for some in torch.split(rows, _ALONE_AT_ONCE)])
        joint: Tensor = self.visual.head(self.trunk.head(self.trunk.fc_norm(rows)))
        return joint.reshape(*tokens.shape[:-1], -1)

    def norm(self, tokens: Tensor) -> Tensor:
        if not self.is_flat:
            raise NotApplicable(f"that wants {SINGLE_PATCHES}, which this tower lacks")
        normed: Tensor = self.trunk.norm(tokens)
        return normed


def _joint_of(visual: Any) -> int:
    """The width of what comes out of a TimmModel."""
    linear = [module for module in visual.head.modules() if isinstance(module, nn.Linear)]
    if linear:
        return linear[-1].out_features
    return int(visual.trunk.num_classes or visual.trunk.head_hidden_size)


def _of_last_stage(visual: Any) -> Size:
    """The places of the last stage of a tower whose stages have grids of their own."""
    reduction = visual.trunk.feature_info[-1]["reduction"]
    height, width = visual.image_size
    return Size(height // reduction, width // reduction)


def timm_sizes(visual: Any) -> tuple[int, int]:
    """The side of the squares that a TimmModel was made for, as far as patches fill it, and that of a patch."""
    grid, embed = Timm(visual).grid.height, getattr(visual.trunk, "patch_embed", None)
    side = (getattr(embed, "img_size", None) or visual.image_size)[0]
    return side // grid * grid, side // grid


def fill_buffers(visual: nn.Module) -> None:
    """Give the tables of an image tower built on `meta` that are in no file of weights their values, on the CPU.

    Raises UsageError for a table that nothing says how to make.
    """
    for module in visual.modules():
        empty = {name: table for name, table in module._buffers.items() if table is not None and table.is_meta}
        if not empty:
            continue
        fill: Any = getattr(module, "init_non_persistent_buffers", None)
        if fill is None:
            raise UsageError(f"{type(module).__name__} of timm cannot fill its {', '.join(empty)}: update timm")
        for name, table in empty.items():
            module._buffers[name] = torch.empty_like(table, device="cpu")
        fill()


def resize_to(visual: Any, size: Size) -> bool:
    """Make a TimmModel read pictures of a size, its positions resized as its family does; whether it had to."""
    embed = getattr(visual.trunk, "patch_embed", None)
    own = getattr(embed, "img_size", None) or visual.image_size
    visual.image_size = tuple(size)
    if tuple(own) == size:
        return False
    if not hasattr(visual.trunk, "set_input_size"):  # of convolutions alone, which take any size
        return False
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of tensors that timm does not lay out well
        visual.trunk.set_input_size(img_size=tuple(size))
    return True
