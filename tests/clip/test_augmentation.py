"""Changed training pictures: against the released data set of AA-CLIP, and how often what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.clip.augmentation import Augmentation
from stackclip.clip.transform import ImageTransform
from stackclip.sizes import Size

COLUMNS = ("brightness", "contrast", "saturation", "angle")


def given(row: np.ndarray[Any, Any]) -> Augmentation:
    """The augmentation of a row: stage, picture, three factors, angle, shift right and down, two flips."""
    numbers = [None if np.isnan(number) else float(number) for number in row[2:6]]
    shift = None if np.isnan(row[6]) else (int(row[6]), int(row[7]))
    return Augmentation(*numbers, shift, bool(row[8]), bool(row[9]))


def test_changed_pictures_and_masks_are_those_of_the_released_code(golden_arrays: Any) -> None:
    stored = golden_arrays("aaclip_augmentation")
    prepare = ImageTransform(56)
    pictures = [Image.fromarray(stored.given(f"picture{n}")) for n in range(3)]
    for plain, wanted in zip(pictures, stored["test_prepared"], strict=True):
        np.testing.assert_allclose(prepare(plain), wanted, atol=1e-6)
    masks = [mask[0] for mask in stored["test_masks"]]
    rows = zip(stored.given("parameters"), stored["prepared"], stored["masks"], strict=True)
    for row, wanted, [wanted_mask] in rows:
        change, number = given(row), int(row[1])
        np.testing.assert_allclose(change.moved(prepare(change.coloured(pictures[number]))), wanted, atol=1e-6)
        np.testing.assert_array_equal(change.moved(masks[number]), wanted_mask)


def test_what_is_drawn_depends_on_the_view_and_the_picture_alone() -> None:
    drawn = [Augmentation.draw(view, digest, 56, colours=True) for view in ("a", "b") for digest in ("1", "2")]
    assert len(set(drawn)) == 4
    assert drawn[0] == Augmentation.draw("a", "1", 56, colours=True)


def test_each_change_is_drawn_as_often_and_as_far_as_released() -> None:
    drawn = [Augmentation.draw(f"view {n}", "digest", 100, colours=True) for n in range(4000)]
    for name, share, lowest, highest in (
        *((colour, 0.7, 0.5, 1.5) for colour in COLUMNS[:3]),
        ("angle", 0.5, -30.0, 30.0),
    ):
        found = [number for each in drawn if (number := getattr(each, name)) is not None]
        assert len(found) / len(drawn) == pytest.approx(share, abs=0.03)  # 4 standard deviations
        assert lowest <= min(found) < lowest + 0.02 * (highest - lowest)
        assert highest >= max(found) > highest - 0.02 * (highest - lowest)
    shifts = [pixels for each in drawn for pixels in each.shift or ()]
    assert len(shifts) / 8000 == pytest.approx(0.5, abs=0.03)
    assert (min(shifts), max(shifts)) == (-15, 15)
    assert sum(each.left_right for each in drawn) / 4000 == pytest.approx(0.5, abs=0.03)
    assert sum(each.upside_down for each in drawn) / 4000 == pytest.approx(0.5, abs=0.03)


def test_colours_stay_where_they_may_not_change() -> None:
    drawn = [Augmentation.draw("move-1", str(n), 56, colours=False) for n in range(20)]
    assert {(each.brightness, each.contrast, each.saturation) for each in drawn} == {(None, None, None)}
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8))
    assert all(each.coloured(picture) is picture for each in drawn)


def test_a_quarter_turn_goes_against_the_clock() -> None:
    square = np.random.default_rng(0).standard_normal((3, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(Augmentation(angle=90).moved(square), np.rot90(square, axes=(1, 2)))


def test_oblong_pictures_are_moved_in_their_own_frame() -> None:
    pixels = np.random.default_rng(0).random((3, 4, 10)).astype(np.float32)
    np.testing.assert_array_equal(Augmentation(angle=180).moved(pixels), pixels[:, ::-1, ::-1])
    shifted = Augmentation(shift=(3, -1)).moved(pixels)
    np.testing.assert_array_equal(shifted[:, :3, 3:], pixels[:, 1:, :7])
    assert not shifted[:, 3].any()
    assert not shifted[:, :, :3].any()
    quarter = Augmentation(angle=90).moved(pixels)  # what turns out of the frame is lost, what turns in is 0
    np.testing.assert_array_equal(quarter[:, :, 3:7], np.rot90(pixels[:, :, 3:7], axes=(1, 2)))
    assert not quarter[:, :, :3].any()
    assert not quarter[:, :, 7:].any()


def test_a_shift_is_a_share_of_the_side_that_it_runs_along() -> None:
    drawn = [Augmentation.draw(f"view {n}", "digest", Size(40, 400), colours=False) for n in range(400)]
    shifts = np.array([each.shift for each in drawn if each.shift])
    assert 55 < np.abs(shifts[:, 0]).max() <= 60
    assert 4 < np.abs(shifts[:, 1]).max() <= 6
    squares = [Augmentation.draw(f"view {n}", "digest", 400, colours=False) for n in range(400)]
    assert [each.shift and each.shift[0] for each in drawn] == [each.shift and each.shift[0] for each in squares]
