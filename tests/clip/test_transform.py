"""The transform against open_clip's own."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
from PIL import Image

from stackclip.clip.transform import CLIP_MEAN, CLIP_STD, ImageTransform
from stackclip.errors import UsageError
from stackclip.sizes import Size


@pytest.mark.parametrize("size", [(112, 112), (300, 75), (31, 400), (1, 1)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_it_equals_open_clips_squash_to_the_last_bit(size: tuple[int, int], interpolation: str) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    theirs = open_clip.image_transform(112, is_train=False, resize_mode="squash", interpolation=interpolation)
    ours = ImageTransform(112, interpolation=interpolation)  # type: ignore[arg-type] # parametrize gives a str
    assert ours(picture).dtype == np.float32
    np.testing.assert_array_equal(ours(picture), theirs(picture).numpy())


def test_mean_and_std_are_open_clips() -> None:
    assert CLIP_MEAN == open_clip.OPENAI_DATASET_MEAN
    assert CLIP_STD == open_clip.OPENAI_DATASET_STD


def test_a_picture_that_is_not_rgb_is_refused() -> None:
    with pytest.raises(UsageError, match="mode I;16 came to the tower, wanted RGB"):
        ImageTransform(16)(Image.new("I;16", (8, 8)))


def test_its_facts_are_json_and_name_every_field() -> None:
    facts = ImageTransform(240).facts
    assert json.loads(json.dumps(facts)) == facts
    assert set(facts) == {"image_size", "mean", "std", "interpolation", "resize", "antialias", "crop"}


def test_a_picture_is_squashed_to_a_height_and_a_width() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8))
    found = ImageTransform("16x40")(picture)  # type: ignore[arg-type] # as it may be typed
    levels = np.asarray(picture.resize((40, 16), Image.Resampling.BICUBIC), np.float32) / np.float32(255)
    wanted = (levels - np.array(CLIP_MEAN, np.float32)) / np.array(CLIP_STD, np.float32)
    np.testing.assert_array_equal(found, wanted.transpose(2, 0, 1))
    assert ImageTransform(Size(16, 40)).facts == {**ImageTransform(16).facts, "image_size": "16x40"}
    assert ImageTransform(Size(16, 16)) == ImageTransform(16)
