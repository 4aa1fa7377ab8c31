"""Tensors and facts in one safetensors file that is sealed as one: whatever is changed in it later is noticed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from stackclip.ops.files import canonical_json, content_hash

__all__ = ["TensorFile", "packed", "unpacked"]

_UNSEALED = '"blake3":"' + 64 * "0" + '"'


@dataclass(frozen=True, slots=True)
class TensorFile:
    """What a file holds: tensors by name and facts, the format and the name that it says of itself.

    It `is_sealed` where the hash that stands in it is that of its bytes. Facts that cannot be read are None.
    """

    format: str
    name: str
    facts: dict[str, Any] | None
    tensors: Mapping[str, Tensor]
    is_sealed: bool


def packed(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, form: str, name: str) -> bytes:
    """A file of this format and name, with the hash of all its bytes (with zeros where the hash stands)."""
    own = {key: _alone(tensor) for key, tensor in tensors.items()}
    text = canonical_json(dict(facts)).decode()
    data = safetensors.torch.save(own, {"format": form, "name": name, "facts": text, "blake3": 64 * "0"})
    return data.replace(_UNSEALED.encode(), f'"blake3":"{content_hash(data)}"'.encode(), 1)


def unpacked(data: bytes) -> TensorFile:
    """What the bytes of a file hold, nothing of which is run. Raises ValueError for what is no file of tensors."""
    try:
        metadata, tensors = _metadata(data), safetensors.torch.load(data)
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    texts = {key: str(metadata.get(key, "")) for key in ("format", "name", "blake3")}
    sealed = _is_sealed(data, texts["blake3"])
    return TensorFile(texts["format"] or "no format", texts["name"], _facts(metadata), tensors, sealed)


def _alone(tensor: Tensor) -> Tensor:
    """A tensor that shares its memory with no other, as tied weights do."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _metadata(data: bytes) -> dict[str, Any]:
    """The metadata of a safetensors file; raises ValueError where its header is none."""
    try:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + size])
        return dict(header.get("__metadata__") or {})
    except (struct.error, RecursionError, AttributeError) as error:
        raise ValueError("its header cannot be read") from error


def _facts(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return dict(json.loads(metadata["facts"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _is_sealed(data: bytes, digest: str) -> bool:
    """Whether `digest`, which stands in the data, is the hash of the data with zeros in its place."""
    seal = f'"blake3":"{digest}"'.encode("utf-8", "backslashreplace")
    return data.count(seal) == 1 and content_hash(data.replace(seal, _UNSEALED.encode())) == digest
