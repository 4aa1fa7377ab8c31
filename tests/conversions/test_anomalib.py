"""The folders that pair by sorted position pair as they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.conversions import convert
from stackclip.data import open_dataset


def test_sorted_positions_and_stems_agree(tmp_path: Path) -> None:
    names = ["a.png", "a-b.jpg", "1.png", "11.png", "10.jpg", "sub/1.png"]
    for name in ("train/good/0.png", "test/good/0.png", *(f"test/dent/{each}" for each in names)):
        path = tmp_path / "in/nut" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(1).integers(60, 200, (9, 9, 3), dtype=np.uint8)).save(path)
        if "dent" in name:
            mask = (tmp_path / "in/nut/ground_truth" / name.removeprefix("test/")).with_suffix(".png")
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.eye(9, dtype=np.uint8)).save(mask)
    done = convert(open_dataset(f"mine={tmp_path}/in", generated=tmp_path), "anomalib", tmp_path / "out")
    assert done.notes == ("stackclip reads it with [good=normal+normal_test,bad=abnormal,masks=mask] behind its path",)
    place = tmp_path / "out/nut"
    assert [len([*(place / kind).iterdir()]) for kind in ("normal", "normal_test")] == [1, 1]
    pictures, masks = (sorted((place / kind / "dent").iterdir()) for kind in ("abnormal", "mask"))
    assert len(pictures) == len(names)
    assert [path.stem for path in pictures] == [path.stem for path in masks]


@pytest.mark.parametrize(
    ("held", "good", "said"),
    [
        (("good/0.png", "dent/1.png"), "good=normal_test,", "the good ones are normal_test/"),
        (("test/dent/1.png",), "", "there are none"),
    ],
)
def test_what_it_cannot_do_without_is_said(tmp_path: Path, held: tuple[str, ...], good: str, said: str) -> None:
    for name in held:
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.fromarray(np.random.default_rng(1).integers(60, 200, (9, 9, 3), dtype=np.uint8)).save(
            tmp_path / "in" / name
        )
    words = "" if good else "[bad=dent]"
    done = convert(open_dataset(f"mine={tmp_path}/in{words}", generated=tmp_path), "anomalib", tmp_path / "out")
    assert done.notes == (
        f"stackclip reads it with [{good}bad=abnormal] behind its path",
        "in: 1 abnormal without a mask: leave mask_dir out",
        f"no good picture to train on: {said}",
    )
    again = open_dataset(f"{tmp_path}/out[{good}bad=abnormal]", generated=tmp_path)
    assert sorted(sample.label for sample in again) == [0] * (len(held) - 1) + [1]
