"""Kinds of defects on the command line, and MVTec-LOCO from its folder to its own metric."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from stackclip.data.defects import DEFECTS_CONFIG

TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
TOWER = ("--train-on", TRAINING, "--backbone", "random-vit-8", "--image-size", "56")
Run = Callable[..., Result]
KINDS = ("logical", "structural")


@pytest.fixture
def loco(tmp_path: Path) -> Path:
    """A category of LOCO's layout: pictures of 60 x 80 pixels, two defects in each defective one."""
    draw, folder = np.random.default_rng(0), tmp_path / "data/mvtec_loco/pushpins"

    def save(place: str, pixels: Any) -> None:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    for split, count in (("train", 1), ("validation", 2), ("test", 3)):
        for number in range(count):
            save(f"{split}/good/{number}.png", draw.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    for kind in KINDS:
        for number in range(2):
            save(f"test/{kind}_anomalies/{number}.png", draw.integers(0, 255, (60, 80, 3), dtype=np.uint8))
            for value in (255, 254):
                mask = np.zeros((60, 80), np.uint8)
                top, left = draw.integers(0, 40, 2)
                mask[top : top + 15, left : left + 15] = value
                save(f"ground_truth/{kind}_anomalies/{number}/{value}.png", mask)
    entries = [("a", 255, 0.5, True), ("b", 254, 60, False)]
    names = ("defect_name", "pixel_value", "saturation_threshold", "relative_saturation")
    (folder / DEFECTS_CONFIG).write_text(json.dumps([dict(zip(names, entry, strict=True)) for entry in entries]))
    return tmp_path / "data"


def bench(run: Run, workspace: Path, data: Path, *words: str) -> Result:
    on = ("--data-root", str(data), "--test-on", "mvtec-loco")
    return run(workspace, "bench", "--methods", "fuzzy", "--epochs", "1", *TOWER, *on, *words)


def test_kinds_of_defects_are_asked_for_shown_and_shown_again(stackclip: Run, tmp_path: Path) -> None:
    words = ("bench", "--methods", "precise,fuzzy", "--epochs", "1", "--test-on", TESTED, *TOWER)
    assert "by kind of defect" not in stackclip(tmp_path, *words).stdout
    assert "would compute 4 of 4 cells" in stackclip(tmp_path, *words, "--per-defect", "--dry-run").stdout
    asked = stackclip(tmp_path, *words, "--per-defect")
    assert "by kind of defect, each with all good pictures" in asked.stdout
    assert "would compute 0 of 4 cells" in stackclip(tmp_path, *words, "--per-defect", "--dry-run").stdout
    again = stackclip(tmp_path, "report", "--methods", "precise,fuzzy", "--per-defect")
    assert again.stdout == asked.stdout
    wrong = stackclip(tmp_path, "report", "--columns", "image_auc")
    assert wrong.exit_code == 2
    assert "no metric 'image_auc'" in wrong.stderr


def test_rows_of_loco_have_its_metric_which_tables_show_on_request(stackclip: Run, loco: Path, tmp_path: Path) -> None:
    [row] = [json.loads(line) for line in bench(stackclip, tmp_path, loco, "--json").stdout.splitlines()]
    for limit in ("0.01", "0.05", "0.1", "0.3", "1"):
        of_kinds = [row["metrics"][f"pixel_AUsPRO@{limit}_{kind}"] for kind in KINDS]
        assert row["metrics"][f"pixel_AUsPRO@{limit}"] == pytest.approx(sum(of_kinds) / 2)
        assert 0 <= min(of_kinds) <= max(of_kinds) <= 1
    assert {f"image_AUROC_{kind}" for kind in KINDS} <= row["metrics"].keys()
    assert row["facts"]["saturation"] == {"form": "exact"}
    assert "AUsPRO" not in stackclip(tmp_path, "report").stdout
    shown = stackclip(tmp_path, "report", "--columns", "image_AUROC,pixel_AUsPRO@0.05").stdout
    assert "AUsPRO@0.05" in shown
    assert "AUPRO\n" not in shown


def test_other_saturation_areas_are_another_cell_and_a_mask_that_is_none_leaves_the_other_metrics(
    stackclip: Run, loco: Path, tmp_path: Path
) -> None:
    folder = loco / "mvtec_loco/pushpins"
    [first] = [json.loads(line) for line in bench(stackclip, tmp_path, loco, "--json").stdout.splitlines()]
    config = folder / DEFECTS_CONFIG
    config.write_text(config.read_text().replace("0.5", "0.05"))
    [other] = [json.loads(line) for line in bench(stackclip, tmp_path, loco, "--json").stdout.splitlines()]
    assert first["metrics"]["pixel_AUPRO"] == other["metrics"]["pixel_AUPRO"]
    assert first["metrics"]["pixel_AUsPRO@1"] < other["metrics"]["pixel_AUsPRO@1"]  # less has to be found
    config.unlink()
    said = bench(stackclip, tmp_path, loco).stdout
    assert "sPRO n/a: " in said
    assert "missing; copy it from the archive" in " ".join(said.split())
    [row] = [json.loads(line) for line in bench(stackclip, tmp_path, loco, "--json").stdout.splitlines()]
    assert row["metrics"]["pixel_AUsPRO@0.05"] is None
    assert row["metrics"]["pixel_AUPRO"] == first["metrics"]["pixel_AUPRO"]
