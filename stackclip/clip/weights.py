"""Weights: how they are read, whether they fit, and the hash that names them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from blake3 import blake3
from torch import Tensor, nn

from stackclip.clip.containers import LARGEST, NOT_WEIGHTS, finite_floats, read_tensors
from stackclip.clip.makes import fill_buffers, make_of, resize_to
from stackclip.clip.positions import DEFAULT_POSITIONS, Positions, resize_positions
from stackclip.errors import UsageError, WeightsError
from stackclip.ops.words import legible
from stackclip.sizes import Side, size_of

__all__ = ["align_weights", "place_weights", "read_weights", "weights_hash"]

GRIDS = ("visual.positional_embedding", "visual.attnpool.positional_embedding")
"""The tensors of open_clip's own towers whose length follows the picture size."""

_SHOWN = 3
_WITHIN, _MASKED = "visual.trunk.", "mask_token"  # the latter stands for hidden patches in training
_COUNTS = "num_batches_tracked"  # what a batch norm counts in training, as whole numbers


def read_weights(path: Path, *, largest: int = LARGEST, of: str = "such weights") -> dict[str, Tensor]:
    """The tensors of a safetensors file, a torch checkpoint or a TorchScript archive by name, float32, on the CPU.

    A checkpoint may keep them under `state_dict`; `module.` and `_orig_mod.` in names are taken out. Nothing in it is
    run.

    Raises WeightsError for a file that is missing, is of another kind or takes more than `largest` bytes, and for a
    tensor that holds other numbers than finite floats.
    """
    found = read_tensors(path, largest=largest, of=of)
    weights = {name: tensor for name, tensor in found.items() if not name.endswith(_COUNTS)}
    return finite_floats(weights, source=path)


def align_weights(
    model: nn.Module, weights: Mapping[str, Tensor], *, architecture: str, source: str
) -> dict[str, Tensor]:
    """The weights under the model's names and in its shapes, but for the grid of position embeddings.

    Raises WeightsError for weights of another architecture: `source`, then the first tensors found against those that
    `architecture` wants.
    """
    import open_clip  # here, since it takes seconds

    named = {name: tensor for name, tensor in weights.items() if name not in NOT_WEIGHTS}
    wanted = {name: each.shape for name, each in model.state_dict().items() if not name.endswith(_COUNTS)}
    if all(name.startswith(_WITHIN) for name in wanted):  # timm's own file, whose names have no model's in front
        named = {f"{_WITHIN}{name.removeprefix(_WITHIN)}": each for name, each in named.items() if name != _MASKED}
    elif hasattr(model, "text"):
        named = open_clip.model.convert_to_custom_text_state_dict(named)
    computed = dict(model.named_buffers()).keys() - wanted.keys()  # a TorchScript archive has them beside the weights
    named = {name: each for name, each in named.items() if name not in computed}
    for name in ("logit_scale", "logit_bias"):  # a scalar in some files, one number in a row in others
        if name in named and name in wanted and named[name].numel() == wanted[name].numel():
            named[name] = named[name].reshape(wanted[name])
    if prefix := _foreign_prefix(named, wanted):
        raise WeightsError(
            f"{source}: its names begin with {legible(prefix)!r}, those of {architecture} do not: take it off, or save "
            f"the state_dict() of the model inside"
        )
    odd = [
        *(
            f"{name} {tuple(named[name].shape)} for {tuple(shape)}"
            for name, shape in wanted.items()
            if name in named and not _fits(name, named[name].shape, shape)
        ),
        *(f"no {name}" for name in wanted if name not in named),
        *(f"{legible(name)}, which it has not" for name in named if name not in wanted),
    ]
    if odd:
        more = f"; {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        raise WeightsError(
            f"{source}: not the weights of {architecture}: found {'; '.join(odd[:_SHOWN])}{more}: "
            f"give the file's own architecture with --backbone"
        )
    return named


def place_weights(
    model: nn.Module, weights: Mapping[str, Tensor], *, size: Side, positions: Positions = DEFAULT_POSITIONS
) -> bool:
    """Make aligned weights the parameters of a model for pictures of a size; whether anything was resized for it.

    The class token's embedding stays. The tensors are not copied, so that a large tower is in memory once. A timm model
    resizes its positions as its family does. Raises UsageError where it is to do that otherwise.
    """
    visual: Any = model.visual
    grid = make_of(visual).grid
    grids = {name: resize_positions(weights[name], grid, positions) for name in GRIDS if name in weights}
    if not grids and positions != DEFAULT_POSITIONS:
        raise UsageError("models of timm resize their position embeddings themselves: omit --position-embedding")
    counts = {name: torch.tensor(0) for name in model.state_dict() if name.endswith(_COUNTS)}
    model.load_state_dict({**counts, **weights, **grids}, strict=True, assign=True)
    fill_buffers(visual)
    if not grids:
        return resize_to(visual, size_of(size))
    return any(each is not weights[name] for name, each in grids.items())


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """The blake3 of name, shape and float32 values of each tensor, in the order of the names, in hex.

    The same weights have the same hash in any container, order or precision that holds them exactly.
    """
    hasher = blake3(max_threads=blake3.AUTO)
    for name, tensor in sorted(weights.items()):
        values = tensor.detach().to("cpu", torch.float32).contiguous()
        hasher.update(f"{name} {tuple(values.shape)}\n".encode())
        hasher.update(values.reshape(-1).numpy().view(np.uint8).data)
    return hasher.hexdigest()


def _foreign_prefix(named: Mapping[str, Tensor], wanted: Mapping[str, torch.Size]) -> str:
    """What stands before every name and keeps the model's own from being found; empty where nothing does."""
    first = next(iter(named), "")
    prefixes = (first[:end] for end, letter in enumerate(first, start=1) if letter == ".")
    common = [prefix for prefix in prefixes if all(name.startswith(prefix) for name in named)]
    return next((each for each in common if any(name.removeprefix(each) in wanted for name in named)), "")


def _fits(name: str, found: torch.Size, wanted: torch.Size) -> bool:
    if name not in GRIDS or len(found) != 2 or found == wanted:
        return found == wanted
    patches = found[0] - 1
    return patches > 0 and math.isqrt(patches) ** 2 == patches and found[1:] == wanted[1:]
