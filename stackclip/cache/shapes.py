"""What the store holds of each part: its shape for a tower, its type and bytes, how its mask was made small."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from stackclip.cache.quantize import code_count
from stackclip.errors import NotApplicable, StoreError
from stackclip.registry import EDITION, taps
from stackclip.types import Part, TowerSpec

__all__ = [
    "MASK_NEAREST",
    "FeatureDtype",
    "StoredForm",
    "is_mask",
    "mask_rule",
    "part_bytes",
    "part_shape",
    "stored_form",
]

FeatureDtype = Literal["float16", "int8"]
"""How a store keeps patch parts; class tokens are float16 in every store."""

MASK_NEAREST = Part("mask-nearest")

_RULES: dict[str, Literal["bilinear", "nearest"]] = {"mask": "bilinear", "mask-nearest": "nearest"}
_RUN_BYTES = 12  # start, stop and region, each uint32


def is_mask(part: Part) -> bool:
    """Whether the part comes from the sample's mask, not from its picture."""
    return part.kind in _RULES


def mask_rule(part: Part) -> Literal["bilinear", "nearest"]:
    """How a mask part was resized to the tower's picture: `mask` bilinear and > 0.5, `mask-nearest` nearest."""
    return _RULES[part.kind]


def part_shape(part: Part, spec: TowerSpec) -> tuple[int, ...]:
    """The shape of a dense part of one picture, as `TowerSpec.shape` says it.

    Raises StoreError for a part that no store of this tower holds, and for one of a way from outside that does not say
    by which code (`Part.exact`).
    """
    try:
        shape = spec.shape(part)
    except NotApplicable as error:
        raise StoreError(f"no store holds {part}: {error}") from None
    if (exact := part.exact()) != part:
        raise StoreError(f"a store holds {part} as {exact}: ask for that")
    return shape


class StoredForm(NamedTuple):
    """What a part of one picture is on the disk."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Bytes."""
        return self.dtype.itemsize * math.prod(self.shape)


def stored_form(
    part: Part, spec: TowerSpec, dtype: FeatureDtype, *, found: tuple[int, ...] | None = None
) -> StoredForm:
    """The type and shape of a dense part of one picture on the disk; raises what `part_shape` raises.

    What a way from outside gave stays readable where its code is not, or is another: its shape is as `found`.
    """
    foreign = found is not None and EDITION in part.kind and taps.way(part.kind) is None
    shape = found if found is not None and foreign else part_shape(part, spec)
    if dtype == "int8" and part.kind == "patch":
        return StoredForm(np.dtype("i1"), (code_count(shape),))
    return StoredForm(np.dtype("<f2"), shape)


def part_bytes(part: Part, spec: TowerSpec, *, dtype: FeatureDtype = "float16") -> int:
    """The bytes of one picture's part in the store; for a mask an estimate, one run in each row of pixels."""
    if is_mask(part):
        return _RUN_BYTES * spec.frame.size.height
    return stored_form(part, spec, dtype).bytes
