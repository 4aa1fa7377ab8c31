"""Weights: where they come from, whether they fit, and the hash that names them."""

from __future__ import annotations

import math
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from blake3 import blake3
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stackclip.clip.positions import DEFAULT_POSITIONS, Positions, resize_positions
from stackclip.errors import WeightsError

__all__ = ["GRID", "align_weights", "cached_weights", "fetch_weights", "place_weights", "read_weights", "weights_hash"]

_FIRST_SAFE_TORCH = (2, 10)  # CVE-2025-32434 and CVE-2026-24747: `weights_only` of older ones runs code
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # plain numbers among OpenAI's tensors
GRID = "visual.positional_embedding"  # the one tensor whose length follows the picture size
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_SHOWN = 3


def read_weights(path: Path, *, sections: bool = False) -> dict[str, Tensor]:
    """The tensors of a safetensors file or a torch checkpoint under their names there, float32, on the CPU.

    A checkpoint may keep them under `state_dict` and write `module.` before each name. Nothing in it is run. With
    `sections` it may hold several state dicts and other things: a tensor's name is then `section.name`, the others are
    left out.

    Raises WeightsError for a file that is missing, is of another kind (a TorchScript archive among them: running code
    is what it is for) or holds a number that is not finite.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such weights file")
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path, sections=sections)
    weights = {name: tensor.to(torch.float32) for name, tensor in found.items()}
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} holds NaN or infinity, wanted finite weights: get the file again")
    return weights


def fetch_weights(model: str, tag: str) -> Path:
    """The file of an open_clip tag: from the local cache, else downloaded; HF_HOME and HF_HUB_OFFLINE are honoured.

    Raises WeightsError where it is neither here nor to be had.
    """
    here = cached_weights(model, tag)
    if here is not None:
        return here
    try:
        return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(model, tag)))
    except Exception as error:  # hub, network and file system raise kinds of their own
        offline = ", with HF_HUB_OFFLINE set" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
        raise WeightsError(
            f"the weights {tag} of {model} are not in the local cache and could not be downloaded{offline}: "
            f"connect and run again, point HF_HOME at a cache that holds them, or give --weights FILE"
        ) from error


def cached_weights(model: str, tag: str) -> Path | None:
    """The file of an open_clip tag in the hub's local cache, or None; the network is not asked."""
    repository, name = os.path.split(open_clip.get_pretrained_cfg(model, tag).get("hf_hub", ""))
    names = (Path(name).with_suffix(".safetensors").name, name) if name else _HUB_FILES
    for each in names if repository else ():
        found = try_to_load_from_cache(repository, each)
        if isinstance(found, str):
            return Path(found)
    return None


def align_weights(
    model: nn.Module, weights: Mapping[str, Tensor], *, architecture: str, source: str
) -> dict[str, Tensor]:
    """The weights under the model's names and in its shapes, but for the grid of position embeddings.

    Raises WeightsError for weights of another architecture: `source`, then the first tensors found against those that
    `architecture` wants.
    """
    named = {name: tensor for name, tensor in weights.items() if name not in _NOT_WEIGHTS}
    if hasattr(model, "text"):
        named = open_clip.model.convert_to_custom_text_state_dict(named)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for name in ("logit_scale", "logit_bias"):  # a scalar in some files, one number in a row in others
        if name in named and name in wanted and named[name].numel() == wanted[name].numel():
            named[name] = named[name].reshape(wanted[name])
    odd = [
        *(
            f"{name} {tuple(named[name].shape)} for {tuple(shape)}"
            for name, shape in wanted.items()
            if name in named and not _fits(name, named[name].shape, shape)
        ),
        *(f"no {name}" for name in wanted if name not in named),
        *(f"{name}, which it has not" for name in named if name not in wanted),
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


def _fits(name: str, found: torch.Size, wanted: torch.Size) -> bool:
    if name != GRID or len(found) != 2 or found == wanted:
        return found == wanted
    patches = found[0] - 1
    return patches > 0 and math.isqrt(patches) ** 2 == patches and found[1:] == wanted[1:]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file ({_first_line(error)}): get the file again") from error


def _read_checkpoint(path: Path, *, sections: bool) -> dict[str, Tensor]:
    if _is_torchscript(path):
        raise WeightsError(
            f"{path}: a TorchScript archive, which runs code when it is read; wanted safetensors or a state dict: "
            f"give --pretrained openai instead, or save its state_dict() where you trust it"
        )
    if tuple(int(number) for number in torch.__version__.split(".")[:2]) < _FIRST_SAFE_TORCH:
        raise WeightsError(
            f"{path}: torch {torch.__version__} cannot read a checkpoint safely (CVE-2026-24747): "
            f"update torch to 2.10 or give safetensors"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # of bytes that may be no checkpoint at all
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors, or is no torch file at all; wanted safetensors or a plain state dict"
        ) from error
    except Exception as error:  # damaged bytes lead torch's reader to errors of every kind
        raise WeightsError(f"{path}: not a torch file, or a damaged one: get the file again") from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"{path}: holds a {type(found).__name__}, wanted a state dict: names and their tensors")
    if sections:
        return _flatten(found)
    wrapped = all(str(name).startswith("module.") for name in found)
    named = {str(name).removeprefix("module.") if wrapped else str(name): tensor for name, tensor in found.items()}
    tensors = {name: tensor for name, tensor in named.items() if name not in _NOT_WEIGHTS}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise WeightsError(f"{path}: {name} is a {type(tensor).__name__}, wanted a state dict: names and tensors")
    return tensors


def _flatten(found: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint and of the state dicts in it, these as `section.name`."""
    tensors = {}
    for name, value in found.items():
        inside = value.items() if isinstance(value, Mapping) else [("", value)]
        for key, tensor in inside:
            if isinstance(tensor, Tensor):
                tensors[f"{name}.{str(key).removeprefix('module.')}" if key != "" else str(name)] = tensor
    return tensors


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):  # what else it may be, torch's reader will say
        return False


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
