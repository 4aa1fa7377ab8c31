"""A sheet shows pictures, masks and maps in the proportion of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from stackclip.inspection.sheet import LINE, MARGIN, fitted_size, heat_map, scale_of, sheet


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((7, 7), (60, 60)), ((300, 150), (60, 30)), ((20, 80), (15, 60)), ((1, 1000), (1, 60)), ((3, 2), (60, 40))],
)
def test_the_longer_side_fits_and_the_other_is_as_long_beside_it(
    size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert fitted_size(size, 60) == wanted


@pytest.mark.parametrize("sizes", [[(90, 90)] * 2, [(200, 100), (100, 200)], [(60, 60), (120, 30), (40, 60)]])
def test_each_row_has_the_proportion_of_its_picture(sizes: list[tuple[int, int]]) -> None:
    draws, tile = np.random.default_rng(0), 60
    pictures = [Image.fromarray(draws.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes]
    masks = [draws.random((24, 48)) < 0.2 for _ in sizes]
    maps = {name: [draws.normal(size=(24, 48)) for _ in sizes] for name in ("one", "other")}
    found = sheet(pictures, masks, maps, names=["x"] * len(sizes), tile=tile)
    top = LINE + MARGIN
    for row, size in enumerate(sizes):
        width, height = (round(length * tile / max(size)) for length in size)
        heat = [heat_map(of_method[row], scale_of(of_method, masks)) for of_method in maps.values()]
        for column, content in enumerate([pictures[row], Image.fromarray(masks[row]).convert("RGB"), *heat]):
            left = MARGIN + column * (tile + MARGIN)
            shown = found.crop((left, top, left + width, top + height))
            wanted = content.resize((width, height), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(wanted))
            beside = np.asarray(found.crop((left + width, top, left + tile + MARGIN, top + height)))
            assert (beside == 255).all()
        top += height + LINE + MARGIN
    assert found.size == (MARGIN + 4 * (tile + MARGIN), top + LINE + MARGIN)
