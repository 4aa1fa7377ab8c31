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
from stackclip.ops.files import canonical_json, write_atomically

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
    metadata = {"format": FORMAT, "facts": canonical_json(dict(head.facts)).decode()}
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
        raise WeightsError(f"{path}: no readable head ({error}); delete it and train again") from error
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "no format")
        raise WeightsError(f"{path}: found {found}, wanted {FORMAT}; is it a head that stackclip saved?")
    facts = json.loads(metadata["facts"])
    if facts.get("fingerprint") != fingerprint:
        trained = f"{facts.get('tower', 'another tower')}, features {str(facts.get('fingerprint'))[:12]}"
        raise FingerprintMismatch(
            f"{path}: this head was trained on {trained}; the store holds features {fingerprint[:12]}. "
            "Use the head's own backbone, image size and layers, or train again"
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{path}: {name} holds NaN or infinity; delete it and train again")
    return TrainedHead(tensors, facts)
