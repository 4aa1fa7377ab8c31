"""Trained heads on disk: safetensors whose header says what they were trained on, sealed as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stackclip.errors import DamagedFile, FingerprintMismatch, WeightsError
from stackclip.ops.files import write_atomically
from stackclip.ops.seals import read_regular
from stackclip.ops.tensor_files import packed, unpacked
from stackclip.ops.words import one_line

__all__ = ["HEAD_FORMAT", "TrainedHead", "load_head", "save_head"]

HEAD_FORMAT = "stackclip-head/2"
LARGEST = 1 << 32  # bytes of a head that are read at all
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64)
"""What heads are made of; whole numbers count the batches that a normalisation has seen."""


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """Learned tensors by name, and the facts they were saved with."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save_head(path: Path, head: TrainedHead) -> None:
    """Write a head atomically; `facts` must hold the store's `fingerprint`, and whatever a reader should know.

    The file says its own name, and the hash of all its bytes (with zeros where the hash stands).
    """
    write_atomically(path, packed(head.tensors, head.facts, form=HEAD_FORMAT, name=path.stem))


def load_head(path: Path, *, fingerprint: str, any_numbers: bool = False) -> TrainedHead:
    """Read a head that was trained on features of this fingerprint.

    With `any_numbers` it may hold what only a training needs: the bytes of a generator, truth values, infinity.
    Raises WeightsError for a file that is no head, was saved under another name, holds NaN or numbers of another kind
    than heads, or has a byte that is another than was written (a file that cannot be read is its cause), and
    FingerprintMismatch for a head that belongs to another tower, transform or layers.
    """
    try:
        file = unpacked(read_regular(path, largest=LARGEST))
    except DamagedFile as error:
        why = one_line(error).removeprefix(f"{path}: ")
        if isinstance(error.__cause__, OSError):  # nothing is known of the file, so nobody is told to delete it
            raise WeightsError(f"{path}: cannot be read ({why})") from error.__cause__
        raise WeightsError(f"{path}: no readable head ({why}); delete it and train again") from error.__cause__
    except ValueError as error:
        raise WeightsError(f"{path}: no readable head ({one_line(error)}); delete it and train again") from error
    if file.format != HEAD_FORMAT:
        raise WeightsError(f"{path}: found {one_line(file.format)}, wanted {HEAD_FORMAT}; is it a head of stackclip?")
    facts = file.facts or {}
    if not isinstance(facts.get("fingerprint"), str):
        raise WeightsError(f"{path}: its facts cannot be read; delete it and train again")
    if not file.is_sealed:
        raise WeightsError(f"{path}: its bytes are not those that were saved; delete it and train again")
    if file.name != path.stem:
        raise WeightsError(f"{path}: it was saved as {one_line(file.name)}; delete it and train again")
    if facts["fingerprint"] != fingerprint:
        trained = f"{one_line(facts.get('tower', 'another tower'))}, features {one_line(facts['fingerprint'])[:12]}"
        raise FingerprintMismatch(
            f"{path}: this head was trained on {trained}; the store holds features {fingerprint[:12]}. "
            "Use the head's own backbone, image size and layers, or train again"
        )
    for name, tensor in file.tensors.items() if not any_numbers else ():
        _check_numbers(path, name, tensor)
    return TrainedHead(file.tensors, facts)


def _check_numbers(path: Path, name: str, tensor: Tensor) -> None:
    """Raise WeightsError for numbers of another kind than heads are made of, and for those that are none."""
    if tensor.dtype not in DTYPES:
        raise WeightsError(
            f"{path}: {one_line(name)} holds {tensor.dtype}, which no head does; delete it and train again"
        )
    if not tensor.isfinite().all():
        raise WeightsError(f"{path}: {one_line(name)} holds NaN or infinity; delete it and train again")
