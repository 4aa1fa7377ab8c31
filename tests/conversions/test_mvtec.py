"""The MVTec-AD layout is written so that its reader takes nothing for something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.conversions import convert
from stackclip.data import open_dataset


def draw(path: Path, mask: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(len(str(path))).integers(60, 200, (24, 24, 3), dtype=np.uint8)
    painted = np.zeros((24, 24), np.uint8)
    painted[3:9, 3:9] = mask
    Image.fromarray(painted if mask else values).save(path)


@pytest.mark.parametrize("defect", ["negative", "images", "gt", "overlay"])
def test_a_defect_whose_name_means_something_gets_another(tmp_path: Path, defect: str) -> None:
    draw(tmp_path / "in/fine/1.png")
    draw(tmp_path / "in/bad" / defect / "2.png")
    dataset = open_dataset(f"nut={tmp_path}/in[good=fine,bad=bad/{defect}]", generated=tmp_path)
    done = convert(dataset, "mvtec", tmp_path / "out")
    assert done.notes == (f"defect {defect!r} is called {defect}_defect there",)
    again = open_dataset(f"again={tmp_path}/out", generated=tmp_path)
    assert {each.defect for each in again} == {"good", f"{defect}_defect"}


def test_masks_of_training_pictures_are_divided_by_split(tmp_path: Path) -> None:
    for name in ("good/1.png", "bad/2.png", "bad/3.png"):
        draw(tmp_path / "in/train" / name)
        draw(tmp_path / "in/test" / name)
    for name in ("train/bad/2.png", "test/bad/2.png", "test/bad/3.png"):
        draw(tmp_path / "in/ground_truth" / name, 255)
    dataset = open_dataset(f"mine={tmp_path}/in", generated=tmp_path)
    convert(dataset, "mvtec", tmp_path / "out")
    again = open_dataset(f"again={tmp_path}/out", generated=tmp_path)
    there = {each.image.parent.parent.name + each.image.stem for each in again if each.mask and each.mask.exists()}
    assert there == {"train2", "test2", "test3"}


def test_masks_of_single_defects_are_kept_with_what_they_mean(tmp_path: Path) -> None:
    for name in ("train/good/0.png", "validation/good/0.png", "test/good/0.png", "test/logical_anomalies/1.png"):
        draw(tmp_path / "in/box" / name)
    draw(tmp_path / "in/box/ground_truth/logical_anomalies/1/000.png", 255)
    draw(tmp_path / "in/box/ground_truth/logical_anomalies/1/001.png", 254)
    kinds = [
        {"defect_name": name, "pixel_value": value, "saturation_threshold": 1.0, "relative_saturation": True}
        for name, value in (("missing", 255), ("swapped", 254))
    ]
    (tmp_path / "in/box/defects_config.json").write_text(json.dumps(kinds))
    dataset = open_dataset(f"mine={tmp_path}/in", generated=tmp_path)
    done = convert(dataset, "mvtec", tmp_path / "out", copy=True)
    assert (done.pictures, done.masks, done.notes) == (4, 1, ())
    again = open_dataset(f"again={tmp_path}/out", generated=tmp_path)
    [(old, new)] = [(a, b) for a, b in zip(dataset, again, strict=True) if a.label]
    assert new.defects is not None
    assert new.mask is not None
    assert old.mask is not None
    assert [p.read_bytes() for p in sorted(new.mask.iterdir())] == [p.read_bytes() for p in sorted(old.mask.iterdir())]


def test_validation_pictures_that_nobody_would_look_for_are_told(tmp_path: Path) -> None:
    for name in ("validation/good/0.png", "test/good/0.png", "test/bad/1.png"):
        draw(tmp_path / "in/box" / name)
    dataset = open_dataset(f"mine={tmp_path}/in[bad=bad]", generated=tmp_path)
    done = convert(dataset, "mvtec", tmp_path / "out")
    assert done.notes == ("1 picture in validation/, which the layout has only beside defects_config.json",)
