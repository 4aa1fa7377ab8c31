"""One pass for plain taps, v-v attention and windows, against the matrix products that it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torch import Tensor

from stackclip.clip import Tower, assemble_tower
from stackclip.clip.doubles import random_weights
from stackclip.types import CLS, Part

NAME = "ViT-B-16-plus-240"
WINDOWS = (2, 3)
PICTURES = 4  # that go through a tower of so short sequences at once, however few there are


def tower_of(name: str) -> Tower:
    """The architecture with random weights."""
    config = open_clip.get_model_config(name)
    return assemble_tower(config, random_weights(config, seed=0), name=name, device="cpu", precision="fp32")


class Products:
    """The matrix products of a pass of `PICTURES`, each at its shape with the tower's own weights, and nothing else.

    `terms` are (how often, product): those of plain blocks, of v-v attention and of windows, where the last block needs
    queries, output projection and the two layers of its MLP for the class tokens alone.
    """

    def __init__(self, tower: Tower) -> None:
        self.visual: Any = tower.model.visual
        spec = tower.spec
        self.multiply_adds = 0
        self.calls: list[Callable[[], object]] = []
        blocks, tokens = self.visual.transformer.resblocks, spec.grid**2 + 1
        self._linear(PICTURES * spec.grid**2, self.visual.conv1.weight.flatten(1))
        for block in blocks:
            self._block(block, PICTURES, tokens)
            self._by_value(block, tokens)
        for _ in spec.layers:
            self._linear(PICTURES * spec.grid**2, self.visual.proj.T)
            self._linear(PICTURES, self.visual.proj.T)
        for side in WINDOWS:
            windows = PICTURES * (spec.grid - side + 1) ** 2
            for block in blocks[:-1]:
                self._block(block, windows, side**2 + 1)
            self._block(blocks[-1], windows, side**2 + 1, read=1)
            self._linear(windows, self.visual.proj.T)

    def __call__(self) -> None:
        for call in self.calls:
            call()

    def _block(self, block: Any, sequences: int, tokens: int, *, read: int | None = None) -> None:
        """A block over sequences of tokens, of which the first `read` go on; all unless given."""
        attention, rows, left = block.attn, sequences * tokens, sequences * (read or tokens)
        width, heads = attention.embed_dim, attention.num_heads
        weight = attention.in_proj_weight
        if read is None:
            self._linear(rows, weight)
        else:
            self._linear(left, weight[:width])
            self._linear(rows, weight[width:])
        self._attention(sequences * heads, read or tokens, tokens, width // heads)
        for layer in (attention.out_proj, block.mlp.c_fc, block.mlp.c_proj):
            self._linear(left, layer.weight)

    def _by_value(self, block: Any, tokens: int) -> None:
        attention = block.attn
        width, heads = attention.embed_dim, attention.num_heads
        self._linear(PICTURES * tokens, attention.in_proj_weight[2 * width :])
        self._attention(PICTURES * heads, tokens, tokens, width // heads)
        self._linear(PICTURES * tokens, attention.out_proj.weight)

    def _attention(self, heads: int, read: int, tokens: int, width: int) -> None:
        """Queries by keys, and what they weigh of the values."""
        self._product(torch.randn(heads, read, width), torch.randn(heads, tokens, width).mT)
        self._product(torch.randn(heads, read, tokens), torch.randn(heads, tokens, width))

    def _linear(self, rows: int, weight: Tensor) -> None:
        self._product(torch.randn(rows, weight.shape[1]), weight.T)

    def _product(self, left: Tensor, right: Tensor) -> None:
        product = torch.bmm if left.ndim == 3 else torch.mm
        self.multiply_adds += left.numel() * right.shape[-1]
        self.calls.append(lambda: product(left, right))


def test_plain_taps_v_v_and_windows_in_one_pass_cost_little_more_than_their_products(race: Any, figure: Any) -> None:
    tower = tower_of(NAME)
    spec = tower.spec
    parts = (CLS, *spec.taps, *(Part("window", side) for side in WINDOWS))
    parts += tuple(Part("vv-stage", layer) for layer in spec.layers)
    parts += tuple(Part("cls", layer) for layer in spec.layers[:-1])
    drawn = torch.randn(PICTURES, 3, spec.image_size, spec.image_size, generator=torch.Generator().manual_seed(0))
    assert {part: found.shape[1:] for part, found in tower.encode(drawn, parts).items()} == {
        part: spec.shape(part) for part in parts
    }
    products = Products(tower)
    with torch.no_grad():
        outcome = race(lambda: tower.encode(drawn, parts), products, rounds=3)
    note = f"{NAME}, {PICTURES} pictures, 365 windows of each, {products.multiply_adds / 1e9:.0f} billion multiply-adds"
    figure("taps, v-v attention and windows, of their matrix products", 1 / outcome.ratio, goal="<= 1.3", note=note)
    figure("matrix products of that pass", 2 * products.multiply_adds / outcome.peer / 1e9, unit="Gflop/s")
    figure("taps, v-v attention and windows", outcome.ours / PICTURES, unit="s a picture", note=NAME)
