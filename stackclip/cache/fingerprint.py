"""What a store was made with, as one digest: equal digests hold equal features."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from stackclip.ops.files import canonical_json, content_hash

__all__ = ["FORMAT", "differences", "fingerprint_digest", "folder_name"]

FORMAT = 1  # of everything below the store's folder; docs/cache-format.md is its specification

_SHOWN = 24  # characters of a value in a message; a digest is recognised by fewer


def fingerprint_digest(fingerprint: Mapping[str, Any]) -> str:
    """The blake3, in hex, of the fingerprint's inputs and the store's format version."""
    return content_hash(canonical_json({"format": FORMAT, "inputs": fingerprint}))


def folder_name(fingerprint: Mapping[str, Any]) -> str:
    """The name of the store's folder: the model's name in plain characters and the first 12 of the digest."""
    model = re.sub(r"[^A-Za-z0-9]+", "-", str(fingerprint.get("model", "tower"))).strip("-")[:48] or "tower"
    return f"{model}-{fingerprint_digest(fingerprint)[:12]}"


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """The inputs in which two fingerprints differ, each with what was found and what was wanted."""
    found, wanted = _as_stored(found), _as_stored(wanted)
    return tuple(
        f"{name} is {_shown(found, name)}, wanted {_shown(wanted, name)}"
        for name in sorted({*found, *wanted})
        if (name in found) != (name in wanted) or found.get(name) != wanted.get(name)
    )


def _as_stored(facts: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(canonical_json(facts)))


def _shown(facts: Mapping[str, Any], name: str) -> str:
    if name not in facts:
        return "absent"
    text = json.dumps(facts[name], sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
