"""Run-length codes, each read back from a writer of its own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.data.runs import brush_pixels, column_runs, packed_counts, row_runs

MASK = np.array([[0, 1, 1], [0, 0, 1]], dtype=np.bool_)


def some(seed: int) -> NDArray[np.bool_]:
    """Blocks of pixels, so that runs are long and short."""
    rng = np.random.default_rng(seed)
    small = rng.random((int(rng.integers(1, 6)), int(rng.integers(1, 7)))) < 0.5
    return np.kron(small, np.ones((int(rng.integers(1, 9)), int(rng.integers(1, 9))), dtype=np.bool_))


def runs(values: NDArray[np.bool_]) -> list[int]:
    """The lengths of runs of a flat mask, the first of zeros, counted one by one."""
    counts, current = [0], False
    for value in values.tolist():
        if value != current:
            counts.append(0)
            current = value
        counts[-1] += 1
    return counts


def packed(counts: list[int]) -> str:
    """COCO's text of runs: signed, in groups of five bits with the lowest first; from the fourth on, differences."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + (32 if more else 0))
    return text


def brush(mask: NDArray[np.bool_], *, literal: bool) -> list[int]:
    """Label Studio's stream: four lengths of 3, 4, 8 and 16 bits; `literal` writes values one by one."""
    values = np.repeat(mask.ravel().astype(int) * 255, 4).tolist()
    bits = f"{len(values):032b}{8 - 1:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    place = 0
    while place < len(values):
        length = 1
        while place + length < len(values) and values[place + length] == values[place] and length < 2**16:
            length += 1
        if literal:
            length = min(8, len(values) - place)
            bits += f"0{0:02b}{length - 1:03b}" + "".join(f"{value:08b}" for value in values[place : place + length])
        else:
            choice, size = next((choice, size) for choice, size in enumerate((3, 4, 8, 16)) if length <= 2**size)
            bits += f"1{choice:02b}{length - 1:0{size}b}{values[place]:08b}"
        place += length
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


def test_runs_go_down_the_columns_in_coco_and_along_the_rows_in_cvat() -> None:
    np.testing.assert_array_equal(column_runs([2, 1, 1, 2], (2, 3)), MASK)
    np.testing.assert_array_equal(row_runs([1, 2, 2, 1], (2, 3)), MASK)
    assert not np.array_equal(row_runs([2, 1, 1, 2], (2, 3)), MASK)


@pytest.mark.parametrize("seed", range(12))
def test_what_another_wrote_is_read_back(seed: int) -> None:
    mask = some(seed)
    counts = runs(mask.T.ravel())
    assert packed_counts(packed(counts)) == counts
    np.testing.assert_array_equal(column_runs(counts, mask.shape), mask)  # type: ignore[arg-type]  # two sides
    np.testing.assert_array_equal(row_runs(runs(mask.ravel()), mask.shape), mask)  # type: ignore[arg-type]
    for literal in (False, True):
        np.testing.assert_array_equal(brush_pixels(brush(mask, literal=literal), mask.shape), mask)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "counts"),
    [("121", [1, 2, 1]), ("5122", [5, 1, 2, 3]), ("532O", [5, 3, 2, 2]), ("P1", [32]), ("", [])],
)
def test_packed_runs_worked_by_hand(text: str, counts: list[int]) -> None:
    assert packed_counts(text) == counts


def test_what_does_not_fit_is_refused() -> None:
    for counts in ([2, 1, 1], [7, -1], [3, 4]):
        with pytest.raises(ValueError, match="runs of"):
            column_runs(counts, (2, 3))
    for text in ("P", "1 2", "\N{SNOWMAN}"):
        with pytest.raises(ValueError, match="run-length code"):
            packed_counts(text)
    stream = brush(MASK, literal=False)
    with pytest.raises(ValueError, match="a brush of 24 values for 4 x 4 pixels"):
        brush_pixels(stream, (4, 4))
    with pytest.raises(ValueError, match="ends too early"):
        brush_pixels(stream[:-3], (2, 3))
