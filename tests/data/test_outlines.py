"""Which pixels a shape covers: cases worked by hand, and the definition, pixel by pixel."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.data.outlines import Bitmap, Marking, Outline, Oval, Position, Stroke, boxed, turned_box


def painted(shape: Marking, height: int = 8, width: int = 10) -> NDArray[np.bool_]:
    canvas = np.zeros((height, width), dtype=np.bool_)
    shape.paint(canvas)
    return canvas


def filled(height: int, width: int, rows: slice, columns: slice) -> NDArray[np.bool_]:
    canvas = np.zeros((height, width), dtype=np.bool_)
    canvas[rows, columns] = True
    return canvas


def is_inside(x: float, y: float, points: tuple[Position, ...]) -> bool:
    """The even-odd rule for one place, by a ray to the left."""
    odd = False
    for (x1, y1), (x2, y2) in zip(points, (*points[1:], points[0]), strict=True):
        if (y1 <= y) != (y2 <= y) and x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x:
            odd = not odd
    return odd


def test_a_square_covers_the_pixels_between_its_corners_and_no_more() -> None:
    square = Outline("dent", ((2, 3), (5, 3), (5, 7), (2, 7)))
    np.testing.assert_array_equal(painted(square), filled(8, 10, slice(3, 7), slice(2, 5)))


def test_a_pixel_counts_where_its_centre_does() -> None:
    square = Outline("dent", ((2.4, 3.6), (5.6, 3.6), (5.6, 6.5), (2.4, 6.5)))
    np.testing.assert_array_equal(painted(square), filled(8, 10, slice(4, 6), slice(2, 6)))


@pytest.mark.parametrize("seed", range(20))
def test_any_polygon_covers_what_the_rule_says_of_each_pixel(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(-4, 16, (3 + seed % 6, 2))
    points = tuple((float(x), float(y)) for x, y in corners)
    expected = np.array([[is_inside(x + 0.5, y + 0.5, points) for x in range(10)] for y in range(8)])
    if expected.any():
        np.testing.assert_array_equal(painted(Outline("dent", points)), expected)


def test_a_hole_that_a_seam_joins_to_the_rim_is_a_hole() -> None:
    rim, hole = ((1, 1), (9, 1), (9, 7), (1, 7), (1, 1)), ((3, 3), (6, 3), (6, 5), (3, 5), (3, 3))
    expected = filled(8, 10, slice(1, 7), slice(1, 9))
    expected[3:5, 3:6] = False
    for ring in (hole, hole[::-1]):
        np.testing.assert_array_equal(painted(Outline("dent", (*rim, *ring))), expected)


def test_a_polygon_thinner_than_a_pixel_covers_the_pixels_that_it_passes() -> None:
    scratch = Outline("scratch", ((1.1, 2.2), (8.9, 2.2), (8.9, 2.3), (1.1, 2.3)))
    np.testing.assert_array_equal(painted(scratch), filled(8, 10, slice(2, 3), slice(1, 9)))
    assert painted(Outline("dot", ((4.2, 5.7),))).nonzero() == (np.array([5]), np.array([4]))


def test_what_lies_outside_of_the_picture_covers_nothing() -> None:
    for points in (((-9, -9), (-4, -9), (-4, -4)), ((1e6, 1e6), (1e6 + 5, 1e6), (1e6, 1e6 + 5))):
        assert not painted(Outline("dent", points)).any()
    beyond = Outline("dent", ((-5, -5), (4, -5), (4, 3), (-5, 3)))
    np.testing.assert_array_equal(painted(beyond), filled(8, 10, slice(0, 3), slice(0, 4)))


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
def test_an_oval_covers_the_pixels_whose_centres_lie_in_it(angle: float) -> None:
    turn = radians(angle)
    expected = np.zeros((20, 24), dtype=np.bool_)
    for row in range(20):
        for column in range(24):
            x, y = column + 0.5 - 11, row + 0.5 - 9
            along, across = x * cos(turn) + y * sin(turn), y * cos(turn) - x * sin(turn)
            expected[row, column] = (along / 8) ** 2 + (across / 3) ** 2 <= 1
    np.testing.assert_array_equal(painted(Oval("hole", 11, 9, 8, 3, angle), 20, 24), expected)


def test_a_box_may_have_its_corners_in_any_order_and_is_known_for_one() -> None:
    expected = filled(8, 10, slice(1, 4), slice(2, 7))
    for corners in ((2, 1, 7, 4), (7, 4, 2, 1), (2, 4, 7, 1)):
        found = boxed("dent", *corners)
        assert found.is_box
        np.testing.assert_array_equal(painted(found), expected)


def test_a_box_is_turned_clockwise_as_a_person_sees_it() -> None:
    """A quarter turn about its left upper corner: what went right goes down, what went down goes left."""
    turned = turned_box("dent", (5, 1), (4, 2), 90, (5, 1))
    np.testing.assert_array_equal(painted(turned), filled(8, 10, slice(1, 5), slice(3, 5)))
    assert turned_box("dent", (5, 1), (4, 2), 360, (5, 1)).points == ((5, 1), (9, 1), (9, 3), (5, 3))


@pytest.mark.parametrize(("left", "top"), [(2, 1), (-1, -2), (8, 6), (30, 0), (0, -30)])
def test_a_bitmap_lies_where_its_corner_is_and_is_cut_off_at_the_rim(left: int, top: int) -> None:
    bits = np.random.default_rng(3).random((5, 7)) < 0.5
    expected = np.zeros((8, 10), dtype=np.bool_)
    for row, column in np.argwhere(bits):
        if 0 <= row + top < 8 and 0 <= column + left < 10:
            expected[row + top, column + left] = True
    np.testing.assert_array_equal(painted(Bitmap.of("dent", bits, left, top)), expected)


def test_shapes_add_up_and_a_stroke_has_no_area() -> None:
    canvas = np.zeros((8, 10), dtype=np.bool_)
    stroke = Stroke("scratch")
    for shape in (boxed("a", 0, 0, 2, 2), stroke, boxed("b", 1, 1, 3, 3)):
        shape.paint(canvas)
    assert canvas.sum() == 4 + 4 - 1
    assert not stroke.is_area
