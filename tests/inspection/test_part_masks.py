"""The parts of a picture as they are drawn: colours where the parts are, and a legend that counts them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from stackclip.inspection.part_masks import PART_COLOURS, draw_parts, part_masks_of
from stackclip.inspection.sheet import LINE, MARGIN
from stackclip.methods import Inspector
from stackclip.methods.segmenter import PartMask

SIDE = 320


def mask(*, names: tuple[str, ...] = ("pen", "eraser"), normal: torch.Tensor | None = None) -> PartMask:
    """A pen in the upper left quarter, an eraser in the lower right one, in a region each; the rest is another."""
    classes = torch.full((8, 8), len(names))
    classes[:4, :4], classes[4:, 4:] = 0, 1
    regions = classes.clamp(max=2)
    return PartMask(names, ("thing",), classes, regions, torch.tensor([0, 0, 1]), regions < 2, normal)


def at(image: Image.Image, tile: int, x: int, y: int) -> np.ndarray:
    """The colour of a pixel in one of the three tiles of a square picture."""
    return np.asarray(image)[LINE + MARGIN + y, MARGIN + tile * (SIDE + MARGIN) + x].astype(int)


def test_each_part_has_its_colour_and_the_background_none() -> None:
    drawn = draw_parts(Image.new("RGB", (64, 64), (200, 0, 0)), mask())
    grey = at(drawn, 2, 300, 20)
    assert len(set(grey)) == 1  # the picture, greyed
    np.testing.assert_array_equal(at(drawn, 0, 20, 20), (200, 0, 0))
    np.testing.assert_allclose(
        at(drawn, 1, 300, 20), 0.75 * grey + 0.25 * PART_COLOURS[2], atol=1
    )  # a region that is none
    for tile in (1, 2):
        for part, place in ((0, 20), (1, 300)):
            expected = 0.35 * grey + 0.65 * PART_COLOURS[part]
            np.testing.assert_allclose(at(drawn, tile, place, place), expected, atol=1)


def test_a_picture_that_is_no_square_keeps_its_shape() -> None:
    drawn = draw_parts(Image.new("RGB", (100, 50)), mask())
    assert drawn.size[0] - 4 * MARGIN > 3 * SIDE
    assert not np.array_equal(at(drawn, 2, 20, 20), at(drawn, 2, 300, 20))
    np.testing.assert_array_equal(at(drawn, 2, 20, SIDE // 2 + 4), (255, 255, 255))  # below it


def test_the_legend_grows_with_parts_and_regions_and_names_that_act_are_escaped() -> None:
    many = mask(names=tuple(f"part\x1b {n}" for n in range(30)))
    drawn = draw_parts(Image.new("RGB", (64, 64)), many)
    assert drawn.height >= (30 + 4) * LINE
    with_shots = draw_parts(Image.new("RGB", (64, 64)), mask(normal=torch.ones(2, 2)))
    assert not np.array_equal(np.asarray(with_shots), np.asarray(draw_parts(Image.new("RGB", (64, 64)), mask())))


def test_counts_are_those_of_the_mask() -> None:
    assert mask().histogram.tolist() == [16, 16]
    assert list(mask().pieces) == [1, 1]


def test_an_inspector_without_parts_has_none_to_draw() -> None:
    assert part_masks_of(Inspector()) is None
