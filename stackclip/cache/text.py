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
from stackclip.errors import DamagedFile, StoreError
from stackclip.ops.files import WRITE_PROTECTED, content_hash, write_atomically
from stackclip.ops.seals import read_regular
from stackclip.ops.words import legible

__all__ = ["TextCache"]

logger = logging.getLogger(__name__)

_LARGEST = 1 << 28  # bytes; the phrases of the largest bench have about 1e7
_NAMED = 3  # files in a warning


class TextCache:
    """A memory of text features below `folder`, for one text tower.

    Each call of `remember` makes one file whose name is the blake3 of its bytes, so a damaged file is noticed. Nothing
    here is needed: a file that is damaged, or cannot be written, costs encoding its phrases again and a warning.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        self.folder = folder / fingerprint_digest(fingerprint)[:12]
        self._features: dict[str, NDArray[np.float32]] = {}
        self._read: set[str] = set()
        self._warned = False

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
            level = logging.DEBUG if self._warned or error.errno in WRITE_PROTECTED else logging.WARNING
            self._warned |= level == logging.WARNING
            logger.log(level, "cannot keep text features in %s: %s", legible(self.folder), error.strerror or error)
        self._read.add(name)
        self._features.update((phrases[index], features[index].copy()) for index in new)

    def _read_new_files(self) -> None:
        try:
            paths = sorted(path for path in self.folder.iterdir() if path.suffix == ".safetensors")
        except FileNotFoundError:
            return
        except OSError as error:
            self._warn_of(self.folder, error.strerror or error)
            return
        failures = []
        for path in paths:
            if path.name in self._read:
                continue
            self._read.add(path.name)
            try:
                data = read_regular(path, largest=_LARGEST)
                if content_hash(data) != path.stem:
                    raise ValueError("its name is not the digest of its content")
                self._features.update(_decoded(data))
            except (DamagedFile, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
                failures.append(f"{path.name}: {error}")
        if failures:
            self._warn_of(self.folder, "; ".join(failures[:_NAMED]) + ("; ..." if len(failures) > _NAMED else ""))

    def _warn_of(self, place: Path, reason: object) -> None:
        logger.warning("%s: what cannot be read is encoded again: %s", legible(place), legible(reason))


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
