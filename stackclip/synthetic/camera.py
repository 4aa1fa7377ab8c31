"""From light to a picture's bytes: levels, the sensor's noise, and where two pictures of one thing differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackclip.synthetic.fields import Field, seeded

__all__ = ["VISIBLE", "change", "changed", "developed", "levels", "sensor"]

VISIBLE = 12
"""A difference in levels that the eye can see."""


def levels(picture: Field) -> NDArray[np.int16]:
    """Light (3, S, S) in levels of 255."""
    rounded: NDArray[np.int16] = np.clip(np.floor(picture * 255.0 + 0.5), 0.0, 255.0).astype(np.int16)
    return rounded


def developed(picture: Field, noise: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The picture (S, S, 3) that a sensor of this noise takes of light (3, S, S)."""
    noisy = np.clip(levels(picture) + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(noisy.transpose(1, 2, 0))


def sensor(seed: int, size: int) -> NDArray[np.int16]:
    """Sensor noise (3, S, S) of about two levels, nearly normal: the sum of four draws of four values each."""
    count = 3 * size * size
    raw = seeded(seed, "sensor").bit_generator.random_raw((count + 7) // 8)
    bits = raw.astype("<u8").view(np.uint8)[:count].reshape(3, size, size)
    draws = [(bits >> np.uint8(shift)) & np.uint8(3) for shift in (0, 2, 4, 6)]
    noise: NDArray[np.int16] = (draws[0] + draws[1] + draws[2] + draws[3]).astype(np.int16) - np.int16(6)
    return noise


def change(one: Field, other: Field) -> NDArray[np.int32]:
    """By how many levels two pictures differ, in the channel that differs most: (S, S)."""
    difference = levels(one).astype(np.int32) - levels(other)
    largest: NDArray[np.int32] = np.abs(difference).max(0)
    return largest


def changed(difference: NDArray[np.int32], region: Field | None) -> NDArray[np.bool_]:
    """Where a defect is: its region, if it has one, and what is seen to differ, without specks and holes."""
    from scipy.ndimage import binary_fill_holes

    seen = difference > VISIBLE
    reach = max(1, round(seen.shape[0] / 56))
    if region is not None:
        seen |= region > 0.5
        reach = max(1, reach // 2)
    closed = ~_grown(~_grown(seen, reach), reach)
    filled: NDArray[np.bool_] = binary_fill_holes(closed | seen)
    return filled


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask with all within `by` steps to a side or corner, alternately."""
    for step in range(by):
        wide = mask.copy()
        wide[1:] |= mask[:-1]
        wide[:-1] |= mask[1:]
        rows = wide if step % 2 else mask
        wide = wide.copy()
        wide[:, 1:] |= rows[:, :-1]
        wide[:, :-1] |= rows[:, 1:]
        mask = wide
    return mask
