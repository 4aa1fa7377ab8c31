"""MVTec AD 2 from its folder to the AU-PRO of its own evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Run = Callable[..., Result]
NAME = "pixel_AUPRO@0.05"
TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
WORDS = ("bench", "--methods", "fuzzy", "--epochs", "1", "--train-on", TRAINING, "--image-size", "56")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A category of MVTec AD 2, and the same pictures in the layout of MVTec AD."""
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 255, (4, 60, 80, 3), dtype=np.uint8)
    masks = np.zeros((4, 60, 80), np.uint8)
    masks[:, 20:40, 30:60] = 255

    def save(place: str, pixels: Any) -> None:
        (tmp_path / "data" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "data" / place)

    for number, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
        kind = "good" if number % 2 else "bad"
        save(f"mvtec_ad_2/can/test_public/{kind}/{number:03}_regular.png", picture)
        save(f"mine/can/test/{kind}/{number:03}.png", picture)
        if kind == "bad":
            save(f"mvtec_ad_2/can/test_public/ground_truth/bad/{number:03}_regular_mask.png", mask)
            save(f"mine/can/ground_truth/bad/{number:03}_mask.png", mask)
    return tmp_path / "data"


def rows_of(run: Run, workspace: Path, data: Path, *words: str) -> list[dict[str, Any]]:
    on = ("--backbone", "random-vit-8", "--data-root", str(data), "--test-on", "mvtec-ad2", "--test-on", f"{data}/mine")
    return [json.loads(line) for line in run(workspace, *WORDS, *on, "--json", *words).stdout.splitlines()]


@pytest.mark.parametrize("form", ["exact", "streamed"])
def test_rows_of_mvtec_ad_2_have_its_metric_and_no_others_do(
    stackclip: Run, data: Path, tmp_path: Path, form: str
) -> None:
    found = {row["test_on"]: row for row in rows_of(stackclip, tmp_path, data, "--metrics", form)}
    own, other = found["mvtec-ad2"]["metrics"], found["mine"]["metrics"]
    assert 0 <= own.pop(NAME) <= 1
    assert NAME not in other
    assert own == other
    assert "@" not in stackclip(tmp_path, "report").stdout
    assert "AUPRO@0.05" in stackclip(tmp_path, "report", "--columns", f"pixel_AUPRO,{NAME}").stdout


def test_a_set_without_it_is_told_why(stackclip: Run, data: Path, tmp_path: Path) -> None:
    on = ("--backbone", "random-vit-8", "--test-on", f"{data}/mine", "--columns", NAME)
    said = " ".join(stackclip(tmp_path, *WORDS, *on).stdout.split())
    assert f"no row has {NAME}: only data sets as MVTec AD 2 have" in said
