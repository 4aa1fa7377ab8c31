"""Products that wear photographs: what is seen of them, where the defect is, and what cameras make of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stackclip.errors import UsageError
from stackclip.synthetic import worn
from stackclip.synthetic.body import grid
from stackclip.synthetic.worn import PASTED, PHOTOGRAPHED, Camera, draw_camera, draw_worn

SHAPES, KINDS = ("disc", "screw"), ("scratch", "stain", "missing-part")
PERFECT = Camera(blur=0.0, sharpening=0.0, contrast=1.0, gamma=1.0, noise=0.0, quality=None)
PATCHWORK = [
    np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8).repeat(20, 0).repeat(20, 1) for seed in (1, 2)
]
RED, BLUE = (np.full((60, 80, 3), colour, np.uint8) for colour in ((200, 40, 30), (30, 60, 220)))


def test_a_pair_follows_from_its_draws() -> None:
    one, same, other = (
        draw_worn([RED, BLUE], np.random.default_rng(seed), shapes=SHAPES, kinds=KINDS, size=56) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.good, same.good)
    np.testing.assert_array_equal(one.defective, same.defective)
    assert not np.array_equal(one.good, other.good)
    assert one.pattern == one.colour == PHOTOGRAPHED


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "none was given"),
        ([RED, np.zeros((6, 8, 4), np.uint8)], r"photograph 2 of 2 is uint8 of shape \(6, 8, 4\): wanted RGB"),
        ([np.zeros((6, 8), np.uint8)], r"uint8 of shape \(6, 8\)"),
        ([np.zeros((0, 8, 3), np.uint8)], r"uint8 of shape \(0, 8, 3\)"),
        ([RED / 255], r"float64 of shape \(60, 80, 3\)"),
    ],
)
def test_what_is_no_photograph_is_refused(given: list[Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        draw_worn(given, np.random.default_rng(0), shapes=SHAPES, kinds=KINDS)


def test_twins_differ_on_the_mask_and_hardly_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worn, "draw_camera", lambda draws: PERFECT)
    kinds = set()
    for seed in range(24):
        pair = draw_worn(PATCHWORK, np.random.default_rng(seed), shapes=SHAPES, kinds=KINDS)
        change = np.abs(pair.good.astype(int) - pair.defective).max(-1)
        assert change[pair.mask].mean() > 12 > 6 > change[~pair.mask].mean()
        kinds.add(pair.defect)
    assert kinds == {PASTED, *KINDS}


def test_a_surface_shows_its_photograph_and_a_blot_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worn, "draw_camera", lambda draws: PERFECT)
    seen = []
    for seed in range(60):
        pair = draw_worn([RED, BLUE], np.random.default_rng(seed), shapes=SHAPES, kinds=KINDS)
        if pair.shape == "surface" and pair.defect == PASTED:
            red, _, blue = (pair.good.mean((0, 1)) / pair.good.mean()).tolist()
            blot = pair.defective[pair.mask].mean(0) - pair.good[pair.mask].mean(0)
            towards_the_other = bool(blot[0] < blot[2]) if np.abs(blot).max() > 5 else None  # a blot of its like
            seen.append((red > blue, towards_the_other))
    assert {one for one, _ in seen} == {True, False}
    assert all(one == other for one, other in seen if other is not None)
    assert {other for _, other in seen} == {None, True, False}


def test_a_crop_lies_over_the_frame_as_it_is() -> None:
    pixels = np.random.default_rng(0).random((3, 26, 26)).astype(np.float32)  # ten pixels to a frame unit
    seen = worn._Crop(pixels).at(*grid(20))  # the middle twenty of them
    np.testing.assert_allclose(seen, pixels[:, 3:23, 3:23], atol=1e-4)


def test_a_crop_is_part_of_its_photograph() -> None:
    rows, columns = np.mgrid[:300, :500]
    picture = np.stack([rows // 2, columns // 2, 0 * rows], axis=-1).astype(np.uint8)
    for seed in range(20):
        pixels = worn._crop([picture], np.random.default_rng(seed)).pixels * 255
        down, across = np.ptp(pixels[0], axis=0).mean(), np.ptp(pixels[1], axis=1).mean()
        assert down == pytest.approx(across, abs=2)  # a square
        assert 300 / 2 / 6 - 2 < down <= 151


def test_a_perfect_camera_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    np.testing.assert_array_equal(PERFECT.take(picture, np.random.default_rng(0)), picture)


def test_a_camera_blurs_as_scipy_does_and_adds_noise_of_its_size() -> None:
    picture = np.random.default_rng(0).integers(60, 190, (64, 64, 3), np.uint8)
    blurred = replace(PERFECT, blur=1.1).take(picture, np.random.default_rng(0))
    wanted = np.stack([gaussian_filter(plane.astype(np.float64), 1.1) for plane in picture.transpose(2, 0, 1)], -1)
    np.testing.assert_allclose(blurred, wanted, atol=0.51)
    noisy = replace(PERFECT, noise=5.0).take(picture, np.random.default_rng(0))
    assert (noisy.astype(float) - picture).std() == pytest.approx(5.0, rel=0.05)


def test_contrast_gathers_levels_around_the_middle_and_gamma_moves_them() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, 2)
    flat = replace(PERFECT, contrast=0.5).take(ramp, np.random.default_rng(0))
    assert (flat.min(), flat.max()) == (64, 192)
    dark = replace(PERFECT, gamma=2.0).take(ramp, np.random.default_rng(0))
    np.testing.assert_allclose(dark[:, 0, 0], 255 * (np.arange(256) / 255) ** 2, atol=0.51)


def test_no_camera_makes_a_picture_unrecognisable() -> None:
    picture = np.repeat(np.repeat(np.random.default_rng(1).integers(40, 216, (8, 8, 3), np.uint8), 8, 0), 8, 1)
    for seed in range(40):
        draws = np.random.default_rng(seed)
        taken = draw_camera(draws).take(picture, draws)
        assert taken.shape == picture.shape
        assert np.corrcoef(taken.ravel(), picture.ravel())[0, 1] > 0.8
