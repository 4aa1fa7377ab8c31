"""Text features remembered by phrase and weights, so that a phrase is encoded once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stackclip.cache.fingerprint import fingerprint_digest
from stackclip.errors import StoreError
from stackclip.ops.files import WRITE_PROTECTED, content_hash, write_atomically

__all__ = ["TextMemory"]

logger = logging.getLogger(__name__)


class TextMemory:
    """A memory of text features below `folder`, for one text tower.

    Each call of `remember` makes one file whose name is the blake3 of its bytes, so a damaged file is noticed. Nothing
    here is needed: a file that is damaged, or cannot be written, costs encoding its phrases again and a warning.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        self.folder = folder / fingerprint_digest(fingerprint)[:12]
        self._features: dict[str, NDArray[np.float32]] = {}
        self._read: set[str] = set()

    def lookup(self, phrases: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The features (D,) of those phrases that are remembered."""
        wanted = tuple(dict.fromkeys(phrases))
        if any(phrase not in self._features for phrase in wanted):
            self._read_new_files()
        return {phrase: self._features[phrase] for phrase in wanted if phrase in self._features}

    def remember(self, phrases: Sequence[str], features: NDArray[np.float32]) -> None:
        """Keep the features (N, D) of N phrases; raises StoreError for values that are not finite."""
        features = np.ascontiguousarray(features, np.float32)
        if features.ndim != 2 or len(features) != len(phrases):
            raise StoreError(f"text features are {features.shape}, wanted (N, D) for N = {len(phrases)} phrases")
        if not np.isfinite(features).all():
            raise StoreError("text features are not finite: the text tower gave NaN or infinity")
        new = [index for index, phrase in enumerate(phrases) if phrase not in self._features]
        if not new:
            return
        data = _encoded([phrases[index] for index in new], features[new])
        name = f"{content_hash(data)}.safetensors"
        try:
            write_atomically(self.folder / name, data)
        except OSError as error:
            level = logging.DEBUG if error.errno in WRITE_PROTECTED else logging.WARNING
            logger.log(level, "cannot keep text features in %s: %s", self.folder, error.strerror or error)
        self._read.add(name)
        self._features.update((phrases[index], features[index].copy()) for index in new)

    def _read_new_files(self) -> None:
        try:
            paths = sorted(path for path in self.folder.glob("*.safetensors") if path.name not in self._read)
        except OSError as error:
            logger.warning("cannot read text features in %s: %s", self.folder, error.strerror)
            return
        for path in paths:
            self._read.add(path.name)
            try:
                data = path.read_bytes()
                if content_hash(data) != path.stem:
                    raise ValueError("its name is not the digest of its content")
                self._features.update(_decoded(data))
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                logger.warning("%s is left out and its phrases are encoded again: %s", path, error)


def _encoded(phrases: Sequence[str], features: NDArray[np.float32]) -> bytes:
    words = np.frombuffer(json.dumps(phrases).encode(), np.uint8)
    return save({"features": features, "phrases": words})


def _decoded(data: bytes) -> dict[str, NDArray[np.float32]]:
    tensors = load(data)
    features, phrases = tensors["features"], json.loads(tensors["phrases"].tobytes())
    if features.dtype != np.float32 or features.ndim != 2 or len(features) != len(phrases):
        raise ValueError("its features do not fit its phrases")
    if not np.isfinite(features).all() or not all(isinstance(phrase, str) for phrase in phrases):
        raise ValueError("its values are not finite or its phrases are no text")
    return dict(zip(phrases, features, strict=True))
