"""Views of a picture: against the released rotations, numpy's quarter turns and the picture that tiles make up."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from stackclip.clip.views import by_view, moved, seen, seen_pixels
from stackclip.errors import UsageError
from stackclip.ops.tiling import spans_of
from stackclip.types import CLS, Part, is_live, patch
from stackclip.viewnames import read_view

PIXELS = np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8)


def test_turned_pictures_are_those_of_anomalydino(golden_arrays) -> None:
    stored = golden_arrays("anomalydino")
    turned = [seen_pixels(stored.given("ref0"), f"rot{degrees}") for degrees in range(45, 360, 45)]
    every = np.stack([stored.given("ref0"), *turned])[:, ::3, ::3]
    np.testing.assert_allclose(every.astype(float), stored["rotations_every3"].astype(float), atol=1)


def test_a_quarter_turn_goes_against_the_clock() -> None:
    square = PIXELS[:31, :31]
    np.testing.assert_array_equal(seen_pixels(square, "rot90")[1:], np.rot90(square)[:-1])  # W / 2 lies between pixels
    np.testing.assert_array_equal(seen_pixels(square, "rot180")[1:, 1:], square[:0:-1, :0:-1])


def test_tiles_make_up_the_picture() -> None:
    tiles = [seen_pixels(PIXELS, f"tile2x3-{number}") for number in range(1, 7)]
    rows = [np.concatenate(tiles[:3], axis=1), np.concatenate(tiles[3:], axis=1)]
    np.testing.assert_array_equal(np.concatenate(rows), PIXELS)
    assert max(tile.shape[0] for tile in tiles) - min(tile.shape[0] for tile in tiles) <= 1


def test_tiles_that_overlap_agree_where_they_do() -> None:
    found = np.full_like(PIXELS, 255)
    for number, (down, across) in enumerate(((d, a) for d in spans_of(31, 3, 25) for a in spans_of(45, 4, 25)), 1):
        tile = seen_pixels(PIXELS, f"tile3x4o25-{number}")
        np.testing.assert_array_equal(tile, PIXELS[down, across])
        np.testing.assert_array_equal(np.asarray(seen(Image.fromarray(PIXELS), f"tile3x4o25-{number}")), tile)
        found[down, across] = tile
    np.testing.assert_array_equal(found, PIXELS)


def test_a_tile_may_be_turned() -> None:
    tile = seen_pixels(PIXELS, "tile2x2o10-3")
    np.testing.assert_array_equal(seen_pixels(PIXELS, "tile2x2o10-3+rot45"), seen_pixels(tile, "rot45"))
    turned = seen(Image.fromarray(PIXELS), "tile2x2o10-3+rot45")
    np.testing.assert_array_equal(np.asarray(turned), seen_pixels(tile, "rot45"))


def test_a_tile_of_a_picture_that_is_too_small_is_a_pixel() -> None:
    assert [seen_pixels(PIXELS[:2], f"tile5x1-{number}").shape[0] for number in range(1, 6)] == [1] * 5


def test_fractions_stay_fractions() -> None:
    values = PIXELS.astype(np.float32) / 255
    np.testing.assert_allclose(seen_pixels(values, "rot30") * 255, seen_pixels(PIXELS, "rot30"), atol=0.51)


def test_a_picture_without_a_view_is_as_it_is() -> None:
    picture = Image.fromarray(PIXELS)
    assert seen(picture, "") is picture
    np.testing.assert_array_equal(np.asarray(seen(picture, "tile1x1-1")), PIXELS)


@pytest.mark.parametrize(
    "view",
    [
        *("rot0", "rot360", "rot045", "move-0", "live-rot90", "tile2x2-0", "tile2x2-5", "tile0x2-1", "flip", "rot90 "),
        *("tile2x2o0-1", "tile2x2o100-1", "tile2x2o25-5", "tile2x2-1+rot0", "tile2x2-1+move-1"),
        *("rot45+tile2x2-1", "+rot45"),
    ],
)
def test_what_is_no_view_is_named(view: str) -> None:
    assert read_view(view) is None
    with pytest.raises(UsageError, match=re.escape(f"'{view}' is no view of a picture")):
        seen_pixels(PIXELS, view)


def test_views_say_what_they_are() -> None:
    assert read_view("rot45") == ("rot", (45,))
    assert read_view("tile2x3-4") == ("tile", (2, 3, 4))
    assert read_view("tile2x3o25-4") == read_view("tile2x3o25-4+rot315") == ("tile", (2, 3, 25, 4))
    assert read_view("move-7") == read_view("live-move-7") == ("move", (7,))
    assert read_view("jitter-12") == ("jitter", (12,))
    assert [is_live(Part("cls", view=view)) for view in ("", "jitter-1", "live-jitter-1")] == [False, False, True]


@pytest.mark.parametrize("view", ["", "rot45", "tile1x1-1", "move"])
def test_a_mask_is_moved_by_random_changes_alone(view: str) -> None:
    with pytest.raises(UsageError, match=f"'{view}' is no view in which a mask is moved"):
        moved(PIXELS[..., 0], view, "digest")


def test_parts_are_asked_for_view_by_view() -> None:
    turned = Part("patch", 2, "rot90")
    assert by_view({CLS, turned, patch(2)}) == {"": {CLS: CLS, patch(2): patch(2)}, "rot90": {patch(2): turned}}
