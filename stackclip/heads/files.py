"""Trained heads on disk: safetensors whose header says what they were trained on, sealed as one."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from stackclip.errors import DamagedFile, FingerprintMismatch, WeightsError
from stackclip.ops.files import canonical_json, content_hash, write_atomically
from stackclip.ops.seals import read_regular
from stackclip.ops.words import one_line

__all__ = ["HEAD_FORMAT", "TrainedHead", "load_head", "save_head"]

HEAD_FORMAT = "stackclip-head/2"
LARGEST = 1 << 32  # bytes of a head that are read at all
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64)
"""What heads are made of; whole numbers count the batches that a normalisation has seen."""
_UNSEALED = '"blake3":"' + 64 * "0" + '"'


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """Learned tensors by name, and the facts they were saved with."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save_head(path: Path, head: TrainedHead) -> None:
    """Write a head atomically; `facts` must hold the store's `fingerprint`, and whatever a reader should know.

    The file says its own name, and the hash of all its bytes (with zeros where the hash stands).
    """
    tensors = {name: _alone(tensor) for name, tensor in head.tensors.items()}
    facts = canonical_json(dict(head.facts)).decode()
    metadata = {"format": HEAD_FORMAT, "name": path.stem, "facts": facts, "blake3": 64 * "0"}
    data = safetensors.torch.save(tensors, metadata)
    write_atomically(path, data.replace(_UNSEALED.encode(), f'"blake3":"{content_hash(data)}"'.encode(), 1))


def load_head(path: Path, *, fingerprint: str, any_numbers: bool = False) -> TrainedHead:
    """Read a head that was trained on features of this fingerprint.

    With `any_numbers` it may hold what only a training needs: the bytes of a generator, truth values, infinity.
    Raises WeightsError for a file that is no head, was saved under another name, holds NaN or numbers of another kind
    than heads, or has a byte that is another than was written (a file that cannot be read is its cause), and
    FingerprintMismatch for a head that belongs to another tower, transform or layers.
    """
    try:
        data = read_regular(path, largest=LARGEST)
        metadata, tensors = _metadata(data), safetensors.torch.load(data)
    except DamagedFile as error:
        why = one_line(error).removeprefix(f"{path}: ")
        if isinstance(error.__cause__, OSError):  # nothing is known of the file, so nobody is told to delete it
            raise WeightsError(f"{path}: cannot be read ({why})") from error.__cause__
        raise WeightsError(f"{path}: no readable head ({why}); delete it and train again") from error.__cause__
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path}: no readable head ({one_line(error)}); delete it and train again") from error
    if metadata.get("format") != HEAD_FORMAT:
        found = one_line(metadata.get("format", "no format"))
        raise WeightsError(f"{path}: found {found}, wanted {HEAD_FORMAT}; is it a head that stackclip saved?")
    facts = _facts(path, metadata)
    if not _is_sealed(data, str(metadata.get("blake3"))):
        raise WeightsError(f"{path}: its bytes are not those that were saved; delete it and train again")
    if metadata.get("name") != path.stem:
        raise WeightsError(f"{path}: it was saved as {one_line(metadata.get('name'))}; delete it and train again")
    if facts["fingerprint"] != fingerprint:
        trained = f"{one_line(facts.get('tower', 'another tower'))}, features {one_line(facts['fingerprint'])[:12]}"
        raise FingerprintMismatch(
            f"{path}: this head was trained on {trained}; the store holds features {fingerprint[:12]}. "
            "Use the head's own backbone, image size and layers, or train again"
        )
    for name, tensor in tensors.items() if not any_numbers else ():
        _check_numbers(path, name, tensor)
    return TrainedHead(tensors, facts)


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


def _facts(path: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        facts = json.loads(metadata["facts"])
        if isinstance(facts["fingerprint"], str):
            return dict(facts)
    except (KeyError, TypeError, ValueError, RecursionError):
        pass  # the same line for all of them
    raise WeightsError(f"{path}: its facts cannot be read; delete it and train again")


def _is_sealed(data: bytes, digest: str) -> bool:
    """Whether `digest`, which stands in the data, is the hash of the data with zeros in its place."""
    seal = f'"blake3":"{digest}"'.encode("utf-8", "backslashreplace")
    return data.count(seal) == 1 and content_hash(data.replace(seal, _UNSEALED.encode())) == digest


def _check_numbers(path: Path, name: str, tensor: Tensor) -> None:
    """Raise WeightsError for numbers of another kind than heads are made of, and for those that are none."""
    if tensor.dtype not in DTYPES:
        raise WeightsError(
            f"{path}: {one_line(name)} holds {tensor.dtype}, which no head does; delete it and train again"
        )
    if not tensor.isfinite().all():
        raise WeightsError(f"{path}: {one_line(name)} holds NaN or infinity; delete it and train again")
