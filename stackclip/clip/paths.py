"""Other ways through the same image tower: value-to-value attention beside the plain path, and windows of patches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.errors import NotApplicable
from stackclip.ops.windows import window_patches
from stackclip.types import CLS, Part

__all__ = ["encode_paths"]

_CLS_BARE = Part("cls-bare")
_ENLARGED = 9 / 8  # 240 to 270 pixels


def encode_paths(visual: Any, pictures: Tensor, parts: Iterable[Part]) -> dict[Part, Tensor]:
    """Give the parts of prepared pictures (B, 3, S, S) in one pass over the blocks of open_clip's VisionTransformer.

    With x_n the tokens behind block n (x_0 those behind ln_pre) and a_n = proj(softmax(V V^T / sqrt(d)) V), where V are
    the values that block n makes of x_{n-1}, and no FFN:

    - `vv-stage/N`: the sum of a_n over the quarter of the blocks that ends at N (CLIP-AD, equations 8 and 9);
    - `vv-last6/N`: x_{L-6} plus the sum of a_n from block L-5 to N (CLIP Surgery);
    - `vv-from6/N`: x_5 plus the sum of a_n from block 6 to N (AnomalyCLIP);
    - `cls/N` and `patch/N`: the plain path, x_N; `joint/N`: its patches as the class token is read;
    - `cls-bare`: the class token of x_L, projected without ln_post (AnomalyCLIP);
    - `cls-released/N` and `patch-released/N`: x_N plus the attention that block N + 1 adds to it, which the released
      code of CLIP-AD writes into its taps by mistake;
    - `window/K`: the class token of each window of K x K patches seen alone, row-major, stride 1 (WinCLIP);
    - `crop/10`: the class tokens of the four corners and the centre of the picture enlarged by 9/8, then of their
      mirror images (CLIP-AD, its supplement; here the prepared picture is enlarged, not the file).

    Class tokens (B, D) but `cls-bare`, v-v tokens and `joint` (B, P, D), windows (B, windows, D) and crops (B, 10, D)
    go through ln_post and the projection, patches (B, P, C) do not.

    Raises NotApplicable for an image tower of another make.
    """
    wanted = tuple(dict.fromkeys(parts))
    _check_make(visual, wanted)
    embedded = _embed(visual, pictures)  # (B, 1 + P, C)
    blocks = visual.transformer.resblocks
    sums = {part: _Sum(part, len(blocks)) for part in wanted if part.kind.startswith("vv-")}
    by_value = {layer for each in sums.values() for layer in each.blocks}
    found: dict[Part, Tensor] = {}
    hidden = visual.ln_pre(embedded)
    last = max((_last_block(part, len(blocks)) for part in wanted), default=0)
    for layer, block in enumerate(blocks[:last], start=1):
        for each in sums.values():
            each.begin(layer, hidden)
        if layer in by_value:
            mixed = _attend_by_value(block, hidden)
            for each in sums.values():
                each.take(layer, mixed)
        if (before := layer - 1) and _released(before) & set(wanted):
            mutated = hidden + block.ls_1(block.attention(block.ln_1(hidden)))
            found |= _plain_parts(visual, mutated, Part("patch-released", before), Part("cls-released", before), wanted)
        hidden = block(hidden)
        if (joint := Part("joint", layer)) in wanted:
            found[joint] = _project(visual, hidden[:, 1:])
        found |= _plain_parts(visual, hidden, Part("patch", layer), Part("cls", layer), wanted)
        if layer == len(blocks):
            found |= _plain_parts(visual, hidden, Part("patch", layer), CLS, wanted)
            if _CLS_BARE in wanted:
                found[_CLS_BARE] = hidden[:, 0] @ visual.proj
    found |= {part: _project(visual, each.total[:, 1:]) for part, each in sums.items()}
    found |= {part: _see_windows(visual, embedded, part.index) for part in wanted if part.kind == "window"}
    found |= {part: _see_crops(visual, pictures) for part in wanted if part.kind == "crop"}
    return {part: found[part] for part in wanted}


class _Sum:
    """A running sum of v-v attention over some blocks, perhaps from the plain tokens before the first of them."""

    def __init__(self, part: Part, depth: int) -> None:
        stages = {"vv-stage": part.index - depth // 4, "vv-last6": depth - 6, "vv-from6": 5}
        self._before = stages[part.kind]
        self._residual = part.kind != "vv-stage"
        self.blocks = range(self._before + 1, part.index + 1)
        self.total = torch.empty(0)

    def begin(self, layer: int, hidden: Tensor) -> None:
        """Take the tokens that go into the first block, where the path begins with them."""
        if layer == self.blocks.start:
            self.total = hidden if self._residual else torch.zeros_like(hidden)

    def take(self, layer: int, mixed: Tensor) -> None:
        """Add what a block's values make of themselves."""
        if layer in self.blocks:
            self.total = self.total + mixed


def _check_make(visual: Any, parts: Iterable[Part]) -> None:
    attention = getattr(getattr(visual, "transformer", None), "resblocks", [None])[0]
    plain = isinstance(getattr(attention, "attn", None), nn.MultiheadAttention) and visual.transformer.batch_first
    if not plain or visual.attn_pool is not None or visual.pool_type != "tok" or visual.proj is None:
        asked = ", ".join(str(part) for part in parts)
        raise NotApplicable(f"{asked}: only given by towers of plain attention blocks with a class token, not this one")


def _embed(visual: Any, pictures: Tensor) -> Tensor:
    """Class token and patches with their positions, before ln_pre: (B, 1 + P, C)."""
    patches = visual.conv1(pictures).flatten(2).transpose(1, 2)  # (B, P, C)
    first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    embedded: Tensor = torch.cat([first, patches], dim=1) + visual.positional_embedding.to(patches.dtype)
    return embedded


def _attend_by_value(block: Any, hidden: Tensor) -> Tensor:
    """What a block's attention gives when its values are queries and keys as well: (B, 1 + P, C)."""
    attention = block.attn
    width = attention.embed_dim
    values = F.linear(block.ln_1(hidden), attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])
    return _attend(block, values, values, values)


def _read_class_token(block: Any, hidden: Tensor) -> Tensor:
    """What a block makes of the class token: (B, C). The others give keys and values, and are not carried on."""
    attention = block.attn
    width, normed = attention.embed_dim, block.ln_1(hidden)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    query = F.linear(normed[:, :1], weight[:width], bias[:width])
    keys, values = F.linear(normed, weight[width:], bias[width:]).chunk(2, dim=-1)
    first = hidden[:, :1] + _attend(block, query, keys, values)
    result: Tensor = (first + block.ls_2(block.mlp(block.ln_2(first))))[:, 0]
    return result


def _attend(block: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """A block's attention on queries (B, N, C), keys and values (B, M, C) that are projected already: (B, N, C)."""
    heads = block.attn.num_heads
    q, k, v = (each.view(*each.shape[:2], heads, -1).transpose(1, 2) for each in (queries, keys, values))
    mixed = F.scaled_dot_product_attention(q, k, v)  # (B, heads, N, C / heads)
    result: Tensor = block.ls_1(block.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
    return result


def _see_windows(visual: Any, embedded: Tensor, side: int) -> Tensor:
    """The class token of each window of side x side patches, all windows of a picture as one batch: (B, windows, D)."""
    grid = round((embedded.shape[1] - 1) ** 0.5)
    patches = 1 + window_patches(grid, side).to(embedded.device)  # behind the class token
    first = torch.zeros(len(patches), 1, dtype=patches.dtype, device=patches.device)
    tokens = embedded[:, torch.cat([first, patches], dim=1)]  # (B, windows, 1 + side * side, C)
    hidden = visual.ln_pre(tokens.flatten(0, 1))
    *before, last = visual.transformer.resblocks
    for block in before:
        hidden = block(hidden)
    joint = _project(visual, _read_class_token(last, hidden))
    return joint.view(*tokens.shape[:2], -1)


def _see_crops(visual: Any, pictures: Tensor) -> Tensor:
    """The class token of ten crops of the enlarged pictures (B, 3, S, S): (B, 10, D)."""
    side = pictures.shape[-1]
    large = round(side * _ENLARGED)
    enlarged = F.interpolate(pictures, size=(large, large), mode="bicubic", antialias=True)
    far, middle = large - side, (large - side) // 2
    corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    crops = torch.stack([enlarged[..., top : top + side, left : left + side] for top, left in corners], dim=1)
    seen = [visual(each) for each in torch.cat([crops, crops.flip(-1)], dim=1)]  # one picture's ten at a time
    return torch.stack(seen)


def _plain_parts(visual: Any, hidden: Tensor, patches: Part, cls: Part, wanted: Iterable[Part]) -> dict[Part, Tensor]:
    """What is wanted of the tokens (B, 1 + P, C) at one place of the plain path."""
    found = {}
    if patches in wanted:
        found[patches] = hidden[:, 1:]
    if cls in wanted:
        found[cls] = _project(visual, hidden[:, 0])
    return found


def _project(visual: Any, tokens: Tensor) -> Tensor:
    joint: Tensor = visual.ln_post(tokens) @ visual.proj
    return joint


def _released(layer: int) -> set[Part]:
    return {Part("patch-released", layer), Part("cls-released", layer)}


def _last_block(part: Part, depth: int) -> int:
    """The last block that a part needs."""
    if part in (CLS, _CLS_BARE):
        return depth
    if part.kind in ("window", "crop"):
        return 0  # their own passes
    return part.index + part.kind.endswith("-released")
