"""The tower while it learns: open_clip's model over a small vocabulary, with layers that are thrown away afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import open_clip
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from scripts.train_tiny.captions import all_phrases
from scripts.train_tiny.pool import NAMES
from stackclip.clip.tiny import CONFIG
from stackclip.errors import UsageError

__all__ = ["TAPS", "Learner", "Seen", "View", "Vocabulary"]

View = Literal["half", "window", "full"]
TAPS = (2, 4, 6, 8)
_LIKENESS = 0.8
_BETA = 0.6  # of the identity in value times output projection (Trockman and Kolter 2023, "Mimetic initialization")


@dataclass(frozen=True)
class Seen:
    """What the image tower makes of pictures: class tokens (B, D) and per tap the joint patch tokens (B, P, D)."""

    joint: Tensor
    dense: tuple[Tensor, ...]
    texture: Tensor


class Vocabulary:
    """The tokens of all captions, numbered from 1 in their order; 0 is every other token, and padding."""

    def __init__(self) -> None:
        self._tokenizer = open_clip.SimpleTokenizer()
        start, end = self._tokenizer.sot_token_id, self._tokenizer.eot_token_id
        known = {start, end}.union(*(self._tokenizer.encode(phrase) for phrase in all_phrases()))
        self.ids = tuple(sorted(known))  # the end of text stays the largest
        self._numbers = {token: number for number, token in enumerate(self.ids, start=1)}
        self._words: dict[str, list[int]] = {}

    def tokenize(self, phrases: list[str]) -> Tensor:
        """Token numbers (N, L), padded with 0 to the longest phrase."""
        rows = [self._row(phrase) for phrase in phrases]
        width = max(map(len, rows))
        return torch.tensor([row + [0] * (width - len(row)) for row in rows])

    def _row(self, phrase: str) -> list[int]:
        if phrase not in self._words:
            ids = (self._tokenizer.sot_token_id, *self._tokenizer.encode(phrase), self._tokenizer.eot_token_id)
            self._words[phrase] = [self._numbers.get(token, 0) for token in ids]
        return self._words[phrase]


class Learner(nn.Module):
    """The two towers and what only training needs: linear layers at the early taps, and attribute classifiers."""

    def __init__(self, *, seed: int) -> None:
        super().__init__()
        self.vocabulary = Vocabulary()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config: dict[str, Any] = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "vocab_size": 8}}
            self.model: Any = open_clip.CLIP(**config)
            embedding = nn.Embedding(len(self.vocabulary.ids) + 1, CONFIG["text_cfg"]["width"], padding_idx=0)
            nn.init.normal_(embedding.weight[1:], std=0.02)
            self.model.token_embedding = embedding
            width, joint = CONFIG["vision_cfg"]["width"], CONFIG["embed_dim"]
            self.taps = nn.ModuleList(nn.Linear(width, joint) for _ in TAPS[:-1])
            self.attributes = nn.ModuleList(nn.Linear(joint, len(names) + 1) for names in NAMES)
            self.textures = nn.Linear(width, len(NAMES[0]))
            _begin_well(self.model.visual)

    @property
    def scale(self) -> Tensor:
        """The learned factor of cosines."""
        scale: Tensor = self.model.logit_scale.exp()
        return scale

    def see(self, pictures: Tensor, *, view: View, corner: tuple[int, int] = (0, 0)) -> Seen:
        """Look at normalised pictures (B, 3, S, S): whole at full or half scale, or a full-scale window.

        A window's `corner` (row, column) is counted in patches; it gets its own slice of the position embedding. At
        half scale each patch has the mean of the positions that it covers.
        """
        visual = self.model.visual
        patch = visual.conv1.kernel_size[0]
        grid = pictures.shape[-1] // patch
        patches = pictures.unfold(2, patch, patch).unfold(3, patch, patch)  # (B, 3, g, g, p, p)
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(len(pictures), grid * grid, -1)
        hidden = patches @ visual.conv1.weight.flatten(1).mT  # (B, P, C)
        first = visual.class_embedding.expand(len(pictures), 1, -1)
        hidden = torch.cat([first, hidden], dim=1) + _positions(visual, view, corner, grid)
        hidden = visual.ln_pre(hidden)
        dense: list[Tensor] = []
        texture = hidden
        for number, block in enumerate(visual.transformer.resblocks, start=1):
            hidden = block(hidden)
            if number in TAPS[:-1]:
                dense.append(self.taps[len(dense)](hidden[:, 1:]))
            if number == TAPS[1]:
                texture = hidden[:, 1:].mean(1)
        hidden = visual.ln_post(hidden) @ visual.proj  # (B, 1 + P, D)
        return Seen(hidden[:, 0], (*dense, hidden[:, 1:]), self.textures(texture))

    def read(self, tokens: Tensor) -> Tensor:
        """Unit text features (N, D) of token numbers (N, L)."""
        model, length = self.model, tokens.shape[1]
        hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
        hidden = model.transformer(hidden, attn_mask=model.attn_mask[:length, :length])
        ends = hidden[torch.arange(len(tokens), device=tokens.device), tokens.argmax(1)]
        return F.normalize(model.ln_final(ends) @ model.text_projection, dim=-1)

    @torch.no_grad()
    def begin_at(self, file: Path) -> None:
        """Start with the towers that `exported` gave, in a file; what only training needs starts anew.

        Raises OSError, and UsageError for a file of other weights.
        """
        weights = _weights_of(file, {name: tensor.shape for name, tensor in self.exported().items()})
        words = weights["token_embedding.weight"][list(self.vocabulary.ids)]
        own = torch.cat([torch.zeros_like(words[:1]), words])
        towers = {name: tensor.float() for name, tensor in {**weights, "token_embedding.weight": own}.items()}
        self.model.load_state_dict(towers)

    def exported(self) -> dict[str, Tensor]:
        """The weights under open_clip's names, half precision, over the whole vocabulary; unused tokens are zero."""
        weights: Mapping[str, Tensor] = self.model.state_dict()
        whole = torch.zeros(CONFIG["text_cfg"]["vocab_size"], CONFIG["text_cfg"]["width"])
        whole[list(self.vocabulary.ids)] = weights["token_embedding.weight"][1:].detach().cpu()
        return {
            name: (whole if name == "token_embedding.weight" else tensor).detach().cpu().half().contiguous()
            for name, tensor in weights.items()
            if name != "attn_mask"
        }


def _weights_of(file: Path, wanted: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, of which there are those that are wanted, of their shapes, and no others."""
    again = "give a file that --export of this program wrote"
    try:
        weights: dict[str, Tensor] = load(file.read_bytes())
    except SafetensorError as error:
        raise UsageError(f"{file} is no safetensors file ({error}): {again}") from None
    found = {name: tensor.shape for name, tensor in weights.items()}
    for name in [*wanted, *found]:
        if found.get(name) != wanted.get(name):
            there, needed = (str([*shapes[name]]) if name in shapes else "none" for shapes in (found, wanted))
            raise UsageError(f"{file} holds another tower: {name} is {there}, wanted {needed}; {again}")
    return weights


def _positions(visual: Any, view: View, corner: tuple[int, int], grid: int) -> Tensor:
    """Position embeddings (1 + P, C) of the class token and of what a view shows."""
    first, rest = visual.positional_embedding.split([1, visual.positional_embedding.shape[0] - 1])
    whole = math.isqrt(len(rest))
    plane = rest.reshape(whole, whole, -1)
    if view == "half":
        plane = plane.reshape(grid, whole // grid, grid, whole // grid, -1).mean((1, 3))
    elif view == "window":
        row, column = corner
        plane = plane[row : row + grid, column : column + grid]
    return torch.cat([first, plane.reshape(grid * grid, -1)])


@torch.no_grad()
def _begin_well(visual: Any) -> None:
    """Start where trained towers arrive: smooth filters, near places alike, tokens that look at tokens like them."""
    kernel = visual.conv1.weight  # (C, 3, p, p)
    kernel.copy_(_filters(len(kernel), kernel.shape[-1]))
    grid = math.isqrt(len(visual.positional_embedding) - 1)
    width = visual.positional_embedding.shape[1]
    visual.positional_embedding[1:] = 0.5 * _waves(grid, width)
    visual.positional_embedding[0] = 0.0
    for block in visual.transformer.resblocks:
        attention = block.attn
        query, _, value = attention.in_proj_weight.chunk(3)
        # Each head compares a random subspace with itself, so that tokens look at tokens like their own, mildly.
        query.copy_(_LIKENESS * torch.linalg.qr(torch.randn(width, width))[0])
        attention.in_proj_weight[width : 2 * width] = query
        value.copy_(torch.linalg.qr(torch.randn(width, width))[0])
        noise = torch.randn(width, width) * 0.3 * width**-0.5
        attention.out_proj.weight.copy_(-_BETA * value.mT + noise)
        attention.in_proj_bias.zero_()
        attention.out_proj.bias.zero_()


def _filters(count: int, patch: int) -> Tensor:
    """Cosine waves of rising frequency over a patch, in brightness first, then in two colour axes: (count, 3, p, p)."""
    place = (torch.arange(patch) + 0.5) / patch
    waves = torch.cos(math.pi * torch.arange(patch)[:, None] * place)  # (frequency, place)
    waves = F.normalize(waves, dim=1)
    axes = F.normalize(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]]), dim=1)
    ranked = sorted(
        ((u * u + v * v) * (1 if axis == 0 else 3) + 2.0 * (axis > 0), axis, u, v)
        for axis in range(3)
        for u in range(patch)
        for v in range(patch)
    )
    rows = []
    for _, axis, u, v in ranked[:count]:
        gain = min(1.0 + 0.5 * math.hypot(u, v), 4.0) * 0.25  # pictures have less of the fine waves
        rows.append(gain * torch.einsum("c,y,x->cyx", axes[axis], waves[u], waves[v]))
    return torch.stack(rows)


def _waves(grid: int, width: int) -> Tensor:
    """Sines and cosines of row and column, (grid * grid, width)."""
    rates = 1.0 / (20.0 ** (torch.arange(width // 4) / (width // 4)))
    angles = torch.arange(grid)[:, None] * rates  # (grid, width / 4)
    one = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = one[:, None].expand(grid, grid, -1), one[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=-1).reshape(grid * grid, width)
