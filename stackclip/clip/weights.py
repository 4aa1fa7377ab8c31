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
from stackclip.clip.positions import DEFAULT_POSITIONS, Positions, resize_positions
from stackclip.errors import WeightsError
from stackclip.ops.words import legible

__all__ = ["GRID", "align_weights", "place_weights", "read_weights", "weights_hash"]

GRID = "visual.positional_embedding"  # the one tensor whose length follows the picture size
_SHOWN = 3


def read_weights(path: Path, *, largest: int = LARGEST, of: str = "such weights") -> dict[str, Tensor]:
    """The tensors of a safetensors file or a torch checkpoint under their names there, float32, on the CPU.

    A checkpoint may keep them under `state_dict`; `module.` and `_orig_mod.` in names are taken out. Nothing in it is
    run.

    Raises WeightsError for a file that is missing, is of another kind or takes more than `largest` bytes, and for a
    tensor that holds other numbers than finite floats.
    """
    return finite_floats(read_tensors(path, largest=largest, of=of), source=path)


def align_weights(
    model: nn.Module, weights: Mapping[str, Tensor], *, architecture: str, source: str
) -> dict[str, Tensor]:
    """The weights under the model's names and in its shapes, but for the grid of position embeddings.

    Raises WeightsError for weights of another architecture: `source`, then the first tensors found against those that
    `architecture` wants.
    """
    import open_clip  # here, since it takes seconds

    named = {name: tensor for name, tensor in weights.items() if name not in NOT_WEIGHTS}
    if hasattr(model, "text"):
        named = open_clip.model.convert_to_custom_text_state_dict(named)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
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


def place_weights(model: nn.Module, weights: Mapping[str, Tensor], *, positions: Positions = DEFAULT_POSITIONS) -> None:
    """Make aligned weights the parameters of a model, its grid of position embeddings resized to its picture size.

    The class token's embedding stays. The tensors are not copied, so that a large tower is in memory once.
    """
    visual: Any = model.visual
    resized = {**weights, GRID: resize_positions(weights[GRID], visual.grid_size[0], positions)}
    model.load_state_dict(resized, strict=True, assign=True)


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
    if name != GRID or len(found) != 2 or found == wanted:
        return found == wanted
    patches = found[0] - 1
    return patches > 0 and math.isqrt(patches) ** 2 == patches and found[1:] == wanted[1:]
