"""What a store was made with, as one digest: equal digests hold equal features."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from stackclip.cache.quantize import QUANTIZATION
from stackclip.cache.shapes import FeatureDtype
from stackclip.errors import StoreError
from stackclip.ops.files import canonical_json, content_hash

__all__ = [
    "FORMAT",
    "FORMATS",
    "OBLONG_FORMAT",
    "QUANTIZED_FORMAT",
    "differences",
    "feature_dtype",
    "fingerprint_digest",
    "format_number",
    "store_name",
    "stored_as",
]

FORMAT = 1  # of everything below the store's folder; docs/cache-format.md is its specification
QUANTIZED_FORMAT = 2  # of a store whose patch parts are codes, which a reader of the first format would misread
OBLONG_FORMAT = 3  # of a store of pictures that are no squares, which a reader of the others would misread
FORMATS = FORMAT, QUANTIZED_FORMAT, OBLONG_FORMAT

_SAID: Mapping[FeatureDtype, Mapping[str, Any]] = {
    "float16": {},  # what older stores say of it too: their digests stay
    "int8": {"feature_dtype": "int8", "quantization": QUANTIZATION},
}
_SHOWN = 24  # characters of a value in a message; a digest is recognised by fewer


def stored_as(fingerprint: Mapping[str, Any], dtype: FeatureDtype) -> dict[str, Any]:
    """The fingerprint of a store that keeps these features as `dtype`; for float16, the features' own.

    Raises StoreError for a type that no store has.
    """
    if dtype not in _SAID:
        raise StoreError(f"no store keeps features as {dtype!r}; wanted {' or '.join(_SAID)}")
    return {**fingerprint, **_SAID[dtype]}


def feature_dtype(fingerprint: Mapping[str, Any]) -> FeatureDtype:
    """How a store of this fingerprint keeps patch parts; raises StoreError for a way that is not known here."""
    said = {name: fingerprint[name] for name in ("feature_dtype", "quantization") if name in fingerprint}
    for dtype, inputs in _SAID.items():
        if said == inputs:
            return dtype
    raise StoreError(f"this stackclip cannot read features kept as {said}; wanted {' or '.join(_SAID)}")


def format_number(fingerprint: Mapping[str, Any]) -> int:
    """The format of a store of this fingerprint."""
    if isinstance(fingerprint.get("image_size"), str):
        return OBLONG_FORMAT
    return QUANTIZED_FORMAT if "feature_dtype" in fingerprint else FORMAT


def fingerprint_digest(fingerprint: Mapping[str, Any]) -> str:
    """The blake3, in hex, of the fingerprint's inputs and the store's format version."""
    return content_hash(canonical_json({"format": format_number(fingerprint), "inputs": fingerprint}))


def store_name(fingerprint: Mapping[str, Any]) -> str:
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
