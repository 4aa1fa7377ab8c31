"""Trained heads on disk: safetensors whose header says what they were trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stackclip.errors import FingerprintMismatch, WeightsError
from stackclip.ops.files import canonical_json, content_hash, write_atomically

__all__ = ["FORMAT", "TrainedHead", "load_head", "save_head"]

FORMAT = "stackclip-head/1"


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """Learned tensors by name, and the facts they were saved with."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save_head(path: Path, head: TrainedHead) -> None:
    """Write a head atomically; `facts` must hold the store's `fingerprint`, and whatever a reader should know."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in head.tensors.items()}
    facts = canonical_json(dict(head.facts)).decode()
    metadata = {"format": FORMAT, "facts": facts, "blake3": _content(tensors)}
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def load_head(path: Path, *, fingerprint: str) -> TrainedHead:
    """Read a head that was trained on features of this fingerprint.

    Raises WeightsError for a file that is no head, holds NaN or is damaged, and FingerprintMismatch for a head that
    belongs to another tower, transform or layers.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: no readable head ({_line(error)}); delete it and train again") from error
    if metadata.get("format") != FORMAT:
        found = _line(metadata.get("format", "no format"))
        raise WeightsError(f"{path}: found {found}, wanted {FORMAT}; is it a head that stackclip saved?")
    try:
        facts = json.loads(metadata["facts"])
        trained_on = str(facts["fingerprint"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise WeightsError(f"{path}: its facts cannot be read; delete it and train again") from None
    if trained_on != fingerprint:
        trained = f"{_line(facts.get('tower', 'another tower'))}, features {trained_on[:12]}"
        raise FingerprintMismatch(
            f"{path}: this head was trained on {trained}; the store holds features {fingerprint[:12]}. "
            "Use the head's own backbone, image size and layers, or train again"
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{path}: {_line(name)} holds NaN or infinity; delete it and train again")
    if metadata.get("blake3") != _content(tensors):
        raise WeightsError(f"{path}: its weights are not those that were saved; delete it and train again")
    return TrainedHead(tensors, facts)


def _line(said: object) -> str:
    """Words from a file or a library, on one line."""
    return " ".join(str(said).split())


def _content(tensors: Mapping[str, Tensor]) -> str:
    """The hash of names, types, shapes and values."""
    return content_hash(safetensors.torch.save(dict(tensors)))
