"""What the store holds of each part: its shape for a tower, its bytes, how its mask was made small."""

from __future__ import annotations

import math
from typing import Literal

from stackclip.errors import StoreError
from stackclip.types import Part, TowerSpec

__all__ = ["MASK_NEAREST", "is_mask", "mask_rule", "part_bytes", "part_shape"]

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
    """The shape of a dense part of one picture: `cls` (D,), `patch/N` (P, C).

    Raises StoreError for a part that no store holds, and for a layer that the tower does not have.
    """
    if part.kind == "cls" and not part.index:
        return (spec.joint,)
    if part.kind == "patch" and 1 <= part.index <= spec.depth:
        return (spec.grid**2, spec.width)
    raise StoreError(
        f"a store of {spec.name} does not hold {part}: wanted cls, patch/1 to patch/{spec.depth}, mask or mask-nearest"
    )


def part_bytes(part: Part, spec: TowerSpec) -> int:
    """The bytes of one picture's part in the store; for a mask an estimate, one run in each row of pixels."""
    if is_mask(part):
        return _RUN_BYTES * spec.image_size
    return 2 * math.prod(part_shape(part, spec))
