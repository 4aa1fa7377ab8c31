"""The makes of image towers, behind one face: what they are made of, their blocks, and how they read a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stackclip.clip.walk import Step, walk
from stackclip.errors import NotApplicable, UsageError
from stackclip.types import CLASS_TOKEN, OPEN_BLOCKS, SINGLE_PATCHES

__all__ = ["Make", "fill_buffers", "make_of", "resize_to", "timm_sizes"]

_ALONE_AT_ONCE = 8192  # tokens that are pooled alone


class Make(ABC):
    """An image tower: its sizes, what it `lacks` (`stackclip.types.NEEDS`), its steps and how it reads tokens.

    `grid` is the side of the square of patches, `depth` the number of blocks that can be tapped, `width` C, `joint` D.
    """

    grid: int
    depth: int
    width: int
    joint: int
    lacks: tuple[str, ...] = ()

    @abstractmethod
    def steps(self, pictures: Tensor, layers: Collection[int]) -> Iterator[Step]:
        """The steps of prepared pictures (B, 3, S, S), of which those of `layers` are looked at; 0 is the first."""

    @abstractmethod
    def patches(self, step: Step) -> Tensor:
        """The patch tokens (B, P, C) behind a step's block."""

    @abstractmethod
    def feature(self, step: Step) -> Tensor:
        """The image feature (B, D) at the step of the last block, however it is pooled."""

    @abstractmethod
    def alone(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C), each read as the image feature is read, as though there were no other: (..., D).

        Raises NotApplicable for a tower that cannot read one.
        """

    @abstractmethod
    def norm(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C) through the last norm. Raises NotApplicable for a tower whose norm reads no single ones."""

    def whole(self, pictures: Tensor) -> Tensor:
        """The image features (B, D) of prepared pictures."""
        for step in self.steps(pictures, (self.depth,)):
            last = step
        return self.feature(last)

    def opened(self, need: str = OPEN_BLOCKS) -> Any:
        """open_clip's own image tower, for what takes its blocks apart. Raises NotApplicable for one of another make."""
        raise NotApplicable(f"that wants {need}, which this tower lacks")


class _Open(Make):
    """open_clip's VisionTransformer: a class token in front, plain blocks, pooled by token, by average or attention."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self.grid, self.depth = visual.grid_size[0], len(visual.transformer.resblocks)
        self.width, self.joint = visual.transformer.width, visual.output_dim
        self._by_token = visual.attn_pool is None and visual.pool_type == "tok"
        self.lacks = () if self._by_token else (CLASS_TOKEN,)

    def steps(self, pictures: Tensor, layers: Collection[int]) -> Iterator[Step]:
        """Step 0 around ln_pre, then a step for each block."""
        visual = self.visual
        patches = visual.conv1(pictures).flatten(2).transpose(1, 2)  # (B, P, C)
        first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        embedded = torch.cat([first, patches], dim=1) + visual.positional_embedding.to(patches.dtype)  # (B, 1 + P, C)
        start = Step(0, embedded, visual.ln_pre)
        yield start
        yield from walk(visual.transformer, start.after)

    def patches(self, step: Step) -> Tensor:
        return step.after[:, 1:]

    def feature(self, step: Step) -> Tensor:
        if self._by_token:
            return self.alone(step.after[:, 0])
        pooled: Tensor = self.visual._pool(step.after)[0] @ self.visual.proj
        return pooled

    def alone(self, tokens: Tensor) -> Tensor:
        read = self.norm(tokens) if self.visual.attn_pool is None else self.visual.ln_post(self._attended(tokens))
        joint: Tensor = read @ self.visual.proj
        return joint

    def _attended(self, tokens: Tensor) -> Tensor:
        """What the attention pool makes of one token (..., C), whatever the query: its value, projected."""
        pool = self.visual.attn_pool
        attention, keys = pool.attn, pool.ln_k(tokens)
        start = 2 * attention.embed_dim
        weight = attention.v_proj_weight if attention.in_proj_weight is None else attention.in_proj_weight[start:]
        values: Tensor = attention.out_proj(nn.functional.linear(keys, weight, attention.in_proj_bias[start:]))
        return values

    def norm(self, tokens: Tensor) -> Tensor:
        if self.visual.attn_pool is not None:
            raise NotApplicable("its last norm comes behind the attention that pools, and reads no patches")
        normed: Tensor = self.visual.ln_post(tokens)
        return normed

    def opened(self, need: str = OPEN_BLOCKS) -> Any:
        return self.visual


class _Seen(Step):
    """A block of a timm model that has run: the patches (B, P, C) behind it, and what makes the image feature."""

    def __init__(self, layer: int, patches: Tensor, pool: Callable[[], Tensor] | None = None) -> None:
        super().__init__(layer, patches, lambda tokens: tokens)
        self.pool = pool


class _Timm(Make):
    """A model of timm in open_clip's TimmModel, seen through its `forward_intermediates`.

    A ViT has all its blocks. Of a tower whose stages have grids of their own the last stage counts as its one block.
    """

    def __init__(self, visual: Any) -> None:
        self.visual, self.trunk = visual, visual.trunk
        stages = self.trunk.feature_info
        self.is_flat = hasattr(self.trunk, "blocks")
        self.depth = len(stages) if self.is_flat else 1
        self._shift = len(stages) - self.depth - 1  # from a block, 1-based, to timm's index
        side = visual.image_size[0]
        self.grid = self.trunk.patch_embed.grid_size[0] if self.is_flat else side // stages[-1]["reduction"]
        self.width, self.joint = stages[-1]["num_chs"], _joint_of(visual)
        self.lacks = (CLASS_TOKEN, OPEN_BLOCKS) if self.is_flat else (CLASS_TOKEN, OPEN_BLOCKS, SINGLE_PATCHES)

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
        )
        last, maps = found if whole else (None, found)
        for layer, each in zip(wanted, maps, strict=True):
            yield _Seen(layer, each.flatten(2).transpose(1, 2), partial(self._pooled, last))

    def _pooled(self, last: Tensor) -> Tensor:
        pooled: Tensor = self.visual.head(self.trunk.forward_head(last))
        return pooled

    def patches(self, step: Step) -> Tensor:
        return step.after

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
            rows = torch.cat([self.trunk.attn_pool(some) for some in rows.split(_ALONE_AT_ONCE)])
        joint: Tensor = self.visual.head(self.trunk.head(self.trunk.fc_norm(rows)))
        return joint.reshape(*tokens.shape[:-1], -1)

    def norm(self, tokens: Tensor) -> Tensor:
        if not self.is_flat:
            raise NotApplicable(f"that wants {SINGLE_PATCHES}, which this tower lacks")
        normed: Tensor = self.trunk.norm(tokens)
        return normed


def make_of(visual: Any) -> Make:
    """The make of an image tower of open_clip. Raises NotApplicable for one of no make that is known."""
    if hasattr(visual, "trunk"):
        return _Timm(visual)
    if hasattr(visual, "transformer") and hasattr(visual, "attn_pool"):
        return _Open(visual)
    raise NotApplicable("only towers of attention blocks or of timm give it, not this one")


def _joint_of(visual: Any) -> int:
    """The width of what comes out of a TimmModel."""
    linear = [module for module in visual.head.modules() if isinstance(module, nn.Linear)]
    if linear:
        return linear[-1].out_features
    return int(visual.trunk.num_classes or visual.trunk.head_hidden_size)


def timm_sizes(visual: Any) -> tuple[int, int]:
    """The side of the pictures that a TimmModel was made for, as far as patches fill it, and that of a patch."""
    grid, embed = make_of(visual).grid, getattr(visual.trunk, "patch_embed", None)
    side = (getattr(embed, "img_size", None) or visual.image_size)[0]
    return side // grid * grid, side // grid


def fill_buffers(model: nn.Module) -> None:
    """Give the tables of a model built on `meta` that are in no file of weights their values, on the CPU.

    Raises UsageError for a table that nothing says how to make.
    """
    for module in model.modules():
        empty = [name for name, table in module._buffers.items() if table is not None and table.is_meta]
        if not empty or empty == ["attn_mask"]:  # that of a text tower, which is made where it is read
            continue
        if empty == ["num_batches_tracked"]:
            module._buffers["num_batches_tracked"] = torch.tensor(0)
            continue
        if not hasattr(module, "init_non_persistent_buffers"):
            raise UsageError(f"{type(module).__name__} of timm cannot fill its {', '.join(empty)}: update timm")
        for name in empty:
            module._buffers[name] = torch.empty_like(module._buffers[name], device="cpu")
        module.init_non_persistent_buffers()


def resize_to(visual: Any, side: int) -> bool:
    """Make a TimmModel read squares of `side` pixels, its positions resized as its family does; whether it had to."""
    embed = getattr(visual.trunk, "patch_embed", None)
    own = (getattr(embed, "img_size", None) or visual.image_size)[0]
    visual.image_size = (side, side)
    if side == own:
        return False
    if hasattr(visual.trunk, "set_input_size"):
        visual.trunk.set_input_size(img_size=(side, side))
    return hasattr(visual.trunk, "set_input_size")
