"""Run-length codes of masks: COCO's, CVAT's and Label Studio's, which are three and look alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["brush_pixels", "column_runs", "packed_counts", "row_runs"]

_BITS = 5  # of each letter of COCO's text, which begins at "0"
_CHANNELS = 4  # of a brush: the last of them, the opacity, is the mask


def row_runs(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (H, W) of runs that go along the rows, the first of them of pixels that are not set (CVAT).

    Raises ValueError where the runs are not as long as the pixels are many.
    """
    height, width = size
    if any(count < 0 for count in counts) or sum(counts) != height * width:
        raise ValueError(f"runs of {sum(counts)} pixels for {height} x {width}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, np.array(counts, dtype=np.int64)).reshape(height, width)


def column_runs(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (H, W) of runs that go down the columns (COCO); `size` is (H, W). Raises ValueError as `row_runs`."""
    height, width = size
    return np.ascontiguousarray(row_runs(counts, (width, height)).T)


def packed_counts(text: str) -> list[int]:
    """The runs that COCO writes as text: five bits a letter, the lowest first.

    From the fourth on each is what it has more than the last but one. Raises ValueError for another text.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64:
            raise ValueError(f"{letter!r} is no letter of a run-length code")
        value |= (code & 31) << shift
        shift += _BITS
        if code & 32:
            continue
        value -= (1 << shift) if code & 16 else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the run-length code ends within a number")
    return counts


def brush_pixels(code: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (H, W) of a brush of Label Studio: a stream of bits of RGBA values, of which the opacity counts.

    The stream has the number of values (32 bits), the bits of a value less one (5), those of four lengths of runs less
    one (4 each), and then pieces: whether one value repeats (1), which of the lengths (2), the number of values less
    one, and the value or the values. Raises ValueError for another stream, or one of another number of pixels.
    """
    height, width = size
    bits = _Bits(code)
    wanted, width_of_value = bits.take(32), 0
    if wanted != height * width * _CHANNELS:
        raise ValueError(f"a brush of {wanted} values for {height} x {width} pixels of {_CHANNELS}")
    width_of_value = bits.take(5) + 1
    lengths = [bits.take(4) + 1 for _ in range(4)]
    values = np.zeros(wanted, dtype=np.bool_)
    place = 0
    while place < wanted:
        repeats = bits.take(1)
        end = place + 1 + bits.take(lengths[bits.take(2)])
        if repeats:
            values[place:end] = bits.take(width_of_value) > 0
        else:
            values[place:end] = [bits.take(width_of_value) > 0 for _ in range(min(end, wanted) - place)]
        place = end
    return np.ascontiguousarray(values.reshape(height, width, _CHANNELS)[:, :, -1])


class _Bits:
    """Reads whole numbers of any number of bits from bytes, the highest bit first."""

    def __init__(self, code: Sequence[int]) -> None:
        self._text = "".join(f"{byte:08b}" for byte in bytes(code))
        self._place = 0

    def take(self, count: int) -> int:
        """The number of the next `count` bits; raises ValueError where there are no more."""
        end = self._place + count
        if end > len(self._text):
            raise ValueError("the stream of bits ends too early")
        number = int(self._text[self._place : end], 2)
        self._place = end
        return number
