"""Grey levels of any depth as 8 bits, between what counts as black and what counts as white."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import UsageError

__all__ = ["RANGES", "eight_bit", "parse_range"]

RANGES = ("auto", "file")  # both take a file at its word; `auto` also tells where it says nothing and little is used


def parse_range(text: str) -> tuple[float, float] | None:
    """The levels of black and white that `MIN:MAX` names; None for `auto` and `file`, which the file decides.

    Raises UsageError for anything else, and for two levels that are not finite and rising.
    """
    if text in RANGES:
        return None
    try:
        low, high = (float(level) for level in text.split(":"))
    except ValueError:
        raise UsageError(f"range {text!r}: wanted auto, file, or MIN:MAX such as 0:4095") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"range {text!r}: wanted two numbers, the first below the second, such as 0:4095")
    return low, high


def eight_bit(values: NDArray[np.integer] | NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Levels (H, W) rounded to 0 to 255, `low` black and `high` white; what lies beyond is cut off."""
    share = (values.astype(np.float64) - low) / (high - low)
    return np.asarray(np.floor(np.clip(share, 0, 1) * 255 + 0.5), dtype=np.uint8)
